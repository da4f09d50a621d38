#!/usr/bin/env bash
# Install the viewers of `make other-viewers` into build/other-viewers: dwv and a page of
# Cornerstone3D from npm, packed by esbuild, and on Debian, as root, Orthanc's Web Viewer.
set -euo pipefail
cd "$(dirname "$0")/../.."
from=deploy/install/viewers
modules=build/viewer-modules
site=build/other-viewers

mkdir -p "$modules" "$site/assets"
if ! cmp -s "$from/package-lock.json" "$modules/package-lock.json"; then
    echo "==> installing dwv and Cornerstone3D into $modules (100 MB)"
    cp "$from"/package*.json "$modules/"
    npm ci --prefix "$modules" --ignore-scripts --no-audit --no-fund --silent
fi
cp tests/viewer/pages/*.js "$modules/"
cp tests/viewer/pages/*.html "$site/"
loader=@cornerstonejs/dicom-image-loader/dist/esm
(
    cd "$modules"
    node_modules/.bin/esbuild dwv.js --bundle --format=esm --outfile="../../$site/dwv.js" --log-level=error
    # What its dependencies take from Node is not used in a browser.
    node_modules/.bin/esbuild cornerstone.js --bundle --format=esm --log-level=error \
        --outfile="../../$site/cornerstone.js" --external:fs --external:path \
        --alias:events=./nothing.js --alias:url=./nothing.js
    node_modules/.bin/esbuild "node_modules/$loader/decodeImageFrameWorker.js" --bundle --format=esm \
        --log-level=error --outfile="../../$site/decodeImageFrameWorker.js" --external:fs --external:path
    cp -r node_modules/dwv/dist/assets/. "../../$site/assets/"
)
plugin=/usr/share/orthanc/plugins/libOrthancWebViewer.so
if [ ! -e "$plugin" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "==> installing orthanc-webviewer"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends orthanc-webviewer >/dev/null
fi

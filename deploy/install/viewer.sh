#!/usr/bin/env bash
# Install OHIF: `install_viewer VERSION FOLDER`, to be sourced. Run with versions, it
# installs each into build/viewers.

# The package holds the built application; what it brings for microscopes and for its own
# networks, three quarters of it, is left out.
install_viewer() {
    local version=$1 viewer=$2 sha512
    [ "$(cat "$viewer/version" 2>/dev/null)" = "$version" ] && return
    command -v npm >/dev/null || return
    case $version in
        3.13.2) sha512=5997719a9986eeba85816f5924b71b82bdd70ad2e2d4a0cd3e831a798e4f3deea3e06e1f8c48e393271933a0ba664d85f3b04ac457e9abe8dde715d907d13c10 ;;
        3.12.10) sha512=d24b85eba32af5cf5d303fbe6d4b138ccac9a57270699873f41e2e4b6e380dac008d2913c0860553dde9c4fb915108b16918bb4001e517715ed6ab9d06566b98 ;;
        3.11.1) sha512=d25251c8782e1ae211d3a3f1789debaa73d67f5380aac6971aea93da49791e436320ec410e74534ccbf21e7927dd9ca370796c22163c81fd21ec0855391aac49 ;;
        *) echo "!!! no checksum of OHIF $version is known" >&2; return 1 ;;
    esac
    echo "==> installing OHIF $version into $viewer (50 MB to load)"
    local package="$viewer.new/ohif-app-$version.tgz"
    rm -rf "$viewer" "$viewer.new"
    mkdir -p "$viewer.new"
    npm pack "@ohif/app@$version" --pack-destination "$viewer.new" --silent >/dev/null &&
        echo "$sha512  $package" | sha512sum --check --quiet &&
        tar -xzf "$package" -C "$viewer.new" --strip-components=2 --exclude='*.map' \
            --exclude='package/dist/ort' --exclude='package/dist/dicom-microscopy-viewer' \
            package/dist &&
        rm "$package" &&
        echo "$version" >"$viewer.new/version" &&
        mv "$viewer.new" "$viewer"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set -euo pipefail
    cd "$(dirname "$0")/../.."
    for version; do install_viewer "$version" "build/viewers/$version"; done
fi

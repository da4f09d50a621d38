#!/usr/bin/env bash
# Build the wheel, unpack it into $1/site, and lay the tests and what they read into
# $1/suite, a folder without the packages.
set -euo pipefail
build=$1
python=.venv/bin/python

rm -rf "$build/wheel" "$build/site" "$build/suite" "$build/lines"
mkdir -p "$build/suite"
"$python" -m pip --disable-pip-version-check wheel -q --no-deps -w "$build/wheel" .
"$python" -m pip --disable-pip-version-check install -q --no-deps --target "$build/site" "$build"/wheel/*.whl

for entry in * .ci .gitignore; do
    case $entry in
        dicom_node | analysis | build | dist | runs | var) ;;
        *) cp -R "$entry" "$build/suite/" ;;
    esac
done
find "$build/suite" -name __pycache__ -prune -exec rm -rf {} +
# Tests look for ../shared beside the project.
if [ -d ../shared ]; then
    ln -sfn "$(cd ../shared && pwd)" "$build/shared"
fi

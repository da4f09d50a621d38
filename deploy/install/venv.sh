#!/usr/bin/env bash
# Make a virtual environment in the folder named by $1, with the first Python that fits.
set -euo pipefail
venv=$1

fits() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

for python in "${BASE_PYTHON:-python3.11}" python3.11 python3 python3.12 python3.13; do
    if fits "$python"; then
        break
    fi
    python=
done
if [ -z "$python" ]; then
    echo "lumbar-node needs Python 3.11 or newer; set BASE_PYTHON to one" >&2
    exit 1
fi

# Debian keeps venv in a package of its own.
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "$python cannot make environments: install $package" >&2
        exit 1
    fi
    echo "==> installing $package"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
fi

echo "==> virtual environment in $venv ($("$python" --version))"
rm -rf "$venv"
mkdir -p "$(dirname "$venv")"
"$python" -m venv "$venv"

#!/usr/bin/env bash
# The peers of the integration tests: DCMTK, Orthanc with its DICOMweb plugin, and
# PostgreSQL, without which one test is skipped; and dcmjs, a reader from npm. As root on
# Debian they are installed; elsewhere the tests that need them are skipped, and this says
# so. With CI=true a missing peer is a failure.
set -euo pipefail
cd "$(dirname "$0")/../.."
readers=build/npm
packages=(dcmtk orthanc orthanc-dicomweb postgresql)
command -v npm >/dev/null || packages+=(npm)

missing() {
    local program
    for program in storescu dcmsend storescp echoscu findscu Orthanc; do
        command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || echo "$program"
    done
    [ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || echo "orthanc-dicomweb"
    command -v npm >/dev/null || echo npm
}

install_readers() {
    cmp -s deploy/install/readers/package-lock.json "$readers/package-lock.json" &&
        [ -d "$readers/node_modules" ] && return
    command -v npm >/dev/null || return
    echo "==> installing dcmjs into $readers"
    mkdir -p "$readers"
    cp deploy/install/readers/package*.json "$readers/"
    npm ci --prefix "$readers" --ignore-scripts --no-audit --no-fund --silent
}

if [ -n "$(missing)" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "==> installing ${packages[*]}"
    # The packages must not start their services: the tests start their own.
    guard=/usr/sbin/policy-rc.d
    made_guard=
    if [ ! -e "$guard" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$guard"
        chmod +x "$guard"
        made_guard=yes
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${packages[@]}" >/dev/null || true
    [ -z "$made_guard" ] || rm -f "$guard"
fi

install_readers || true
left=$(missing | tr '\n' ' ')
[ -d "$readers/node_modules" ] || left+=dcmjs
[ -n "$left" ] || exit 0
echo "!!! missing: $left" >&2
echo "!!! install ${packages[*]} (Debian), or the tests marked 'peer' are SKIPPED" >&2
[ "${CI:-}" != "true" ]

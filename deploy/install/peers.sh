#!/usr/bin/env bash
# The peers of the integration tests: DCMTK, OpenSSL, Orthanc with its DICOMweb plugin, and
# PostgreSQL, without which some tests are skipped; rsyslog, to which audit messages go;
# HAProxy, behind which several machines of one node stand;
# systemd, which reads the unit; Prometheus, whose promtool reads the alert rules and the metrics; from npm
# dcmjs, a reader, and OHIF, a viewer, with Chromium to show it, and a font of
# Chinese for the page for operators. As root on Debian they are
# installed; elsewhere the tests that need them are skipped, and this says so. With CI=true
# a missing peer is a failure.
set -euo pipefail
cd "$(dirname "$0")/../.."
readers=build/npm
viewer=build/ohif
packages=(dcmtk openssl orthanc orthanc-dicomweb postgresql chromium fonts-wqy-microhei
    systemd prometheus rsyslog rsyslog-gnutls haproxy)
command -v npm >/dev/null || packages+=(npm)

missing() {
    local program
    for program in storescu dcmsend storescp echoscu findscu openssl Orthanc chromium \
        systemd-analyze promtool rsyslogd haproxy; do
        command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || echo "$program"
    done
    [ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || echo "orthanc-dicomweb"
    compgen -G "/usr/lib/*/rsyslog/lmnsd_gtls.so" >/dev/null || echo "rsyslog-gnutls"
    command -v npm >/dev/null || echo npm
}

install_readers() {
    cmp -s deploy/install/readers/package-lock.json "$readers/package-lock.json" &&
        [ -d "$readers/node_modules" ] && return
    command -v npm >/dev/null || return
    echo "==> installing dcmjs and playwright-core into $readers"
    mkdir -p "$readers"
    cp deploy/install/readers/package*.json "$readers/"
    npm ci --prefix "$readers" --ignore-scripts --no-audit --no-fund --silent
}

. deploy/install/viewer.sh

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
install_viewer 3.13.2 "$viewer" || true
left=$(missing | tr '\n' ' ')
[ -d "$readers/node_modules" ] || left+="dcmjs "
[ -e "$viewer/version" ] || left+=OHIF
[ -n "$left" ] || exit 0
echo "!!! missing: $left" >&2
echo "!!! install ${packages[*]} (Debian), or the tests marked 'peer' are SKIPPED" >&2
[ "${CI:-}" != "true" ]

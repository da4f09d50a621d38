#!/usr/bin/env bash
# Build an image without a daemon: build.sh TAG [CONTEXT [DOCKERFILE]]. As root on Debian,
# whose packages it installs where they are missing. All that it makes lies in build/image:
# the store, and `environment`, which podman and buildah need to find it.
#
# Where the store lacks the base that the Dockerfile names, the base is made from packages
# of Debian, under the same tag. With an engine that can load it, none of this is needed:
# docker build -f deploy/Dockerfile -t lumbar-node .
#
# EXTRAS=[gpu] in the environment is handed to the Dockerfile.
set -euo pipefail
cd "$(dirname "$0")/../.."
tag=$1
context=${2:-.}
recipe=${3:-$context/deploy/Dockerfile}
home=$PWD/build/image
packages=(buildah mmdebstrap podman runc podman-compose containernetworking-plugins iptables)

missing() {
    local program
    for program in buildah mmdebstrap podman runc podman-compose iptables; do
        command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || echo "$program"
    done
    [ -e /usr/lib/cni/bridge ] || echo containernetworking-plugins
}

install_packages() {
    if [ -n "$(missing)" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        echo "==> installing ${packages[*]}"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            "${packages[@]}" >/dev/null || true
    fi
    local left
    left=$(missing | tr '\n' ' ')
    if [ -n "$left" ] || [ "$(id -u)" -ne 0 ]; then
        echo "!!! the image cannot be built here: it needs root, and ${packages[*]} (Debian)" >&2
        echo "!!! missing: ${left}$([ "$(id -u)" -eq 0 ] || echo root)" >&2
        echo "!!! with Docker or podman: docker build -f deploy/Dockerfile -t lumbar-node ." >&2
        exit 1
    fi
}

# A limit above our own can be set only by who may raise it, and a container's root may not.
write_environment() {
    mkdir -p "$home"
    local files tasks
    files=$(ulimit -Hn)
    tasks=$(ulimit -Hu)
    [ "$tasks" != unlimited ] && [ "$tasks" -lt 20000 ] || tasks=20000
    cat >"$home/storage.conf" <<END
[storage]
driver = "overlay"
graphroot = "$home/store"
runroot = "$home/run"
END
    cat >"$home/containers.conf" <<END
[containers]
default_ulimits = ["nofile=$files:$files", "nproc=$tasks:$tasks"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
END
    cat >"$home/environment" <<END
CONTAINERS_CONF=$home/containers.conf
CONTAINERS_STORAGE_CONF=$home/storage.conf
DISABLE_HC_SYSTEMD=true
END
    set -a
    # shellcheck disable=SC1091
    source "$home/environment"
    set +a
}

# The settings of this machine's pip, for the pip of the build, and the folders that they
# name: wheels and certificates may lie on this machine's disk.
write_pip_settings() {
    echo "[global]" >"$home/pip.conf"
    python3 -m pip config list 2>/dev/null |
        awk -F= '/^(global|:env:)\./ {
            key = $1; sub(/^[^.]*\./, "", key)
            value = substr($0, length($1) + 2); gsub(/^'\''|'\''$/, "", value)
            kept[key] = value
        } END { for (key in kept) print key " = " kept[key] }' >>"$home/pip.conf"
    mounts=(--volume "$home/pip.conf:/etc/pip.conf:ro")
    local path
    # The pages of an index on a disk name files beside it.
    for path in $(grep -oE '(^| |=|file://)/[^ ]+' "$home/pip.conf" |
        sed -E 's,^file://(/.+)/[^/]+/?$,\1,; s,^[^/]*/,/,' | sort -u); do
        [ ! -e "$path" ] || mounts+=(--volume "$path:$path:ro")
    done
}

make_base() {
    local base=$1 container
    echo "==> making $base from packages of Debian (a minute or more; kept in build/image)"
    mmdebstrap --quiet --variant=apt --include=python3,python3-venv,ca-certificates \
        --dpkgopt=force-unsafe-io "${base##*-}" "$home/base.tar"
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$home/base.tar" / >/dev/null
    buildah run --isolation chroot "$container" ln -s /usr/bin/python3 /usr/local/bin/python
    buildah config --cmd python \
        --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
    buildah commit --quiet --rm "$container" "$base" >/dev/null
    rm "$home/base.tar"
}

install_packages
write_environment
write_pip_settings
for base in $(awk '$1 == "FROM" {print $2}' "$recipe" | sort -u); do
    buildah inspect --type image "$base" >/dev/null 2>&1 && continue
    case $base in
        python:*-slim-*) make_base "$base" ;;
        *) echo "!!! the store has no $base" >&2; exit 1 ;;
    esac
done
echo "==> building $tag (minutes); the log is build/image/build.log"
# The format of Docker, for that of OCI has no place for a health check.
buildah build --isolation chroot --network host --pull-never --format docker --layers \
    "${mounts[@]}" ${EXTRAS:+--build-arg "EXTRAS=$EXTRAS"} --file "$recipe" --tag "$tag" "$context" \
    >"$home/build.log" 2>&1 || {
    tail -n 30 "$home/build.log" >&2
    echo "!!! the image was not built; see build/image/build.log" >&2
    exit 1
}
buildah images --format '    {{.Name}}:{{.Tag}}, {{.Size}}' "$tag"

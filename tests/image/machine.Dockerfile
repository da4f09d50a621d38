# A machine with systemd, and the node where deploy/lumbar-node.service looks for it.
FROM localhost/lumbar-node:latest AS node
FROM python:3.11-slim-bookworm
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        systemd dbus procps openssl
COPY --from=node /opt/lumbar-node /opt/lumbar-node
STOPSIGNAL SIGRTMIN+3
# systemd mounts credentials where a service sees them only if mounts are shared.
CMD ["sh", "-c", "mount --make-rshared / && exec /lib/systemd/systemd"]

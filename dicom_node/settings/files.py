"""The files that settings name: found beside `node.yaml`, and tried once."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from dicom_node.settings.key_lines import KeyPath
from dicom_node.settings.sections import Settings
from dicom_node.settings.tls_sections import AcceptorTls, RequestorTls
from dicom_node.tls import acceptor_context, requestor_context

_FILE = "_file"
_Tls = TypeVar("_Tls", AcceptorTls, RequestorTls)


def with_files_beside(settings: Settings, folder: Path) -> Settings:
    """Return the settings with every TLS file taken from a folder, if relative."""
    node, peers = settings.node, dict(settings.peers)
    if node.tls is not None:
        node = node.model_copy(update={"tls": _absolute(node.tls, folder)})
    for name, peer in peers.items():
        if peer.tls is not None:
            tls = _absolute(peer.tls, folder)
            peers[name] = peer.model_copy(update={"tls": tls})
    return settings.model_copy(update={"node": node, "peers": peers})


def obstacles(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    """Yield what hinders TLS: where it is asked for, and what is wrong there."""
    if settings.node.tls is not None:
        yield from _obstacles(settings.node.tls, ("node", "tls"))
    for name, peer in settings.peers.items():
        if peer.tls is not None:
            yield from _obstacles(peer.tls, ("peers", name, "tls"))


def _absolute(tls: _Tls, folder: Path) -> _Tls:
    found = {
        key: (folder / Path(value).expanduser()).resolve() for key, value in _files(tls)
    }
    return tls.model_copy(update=found)


def _files(tls: AcceptorTls | RequestorTls) -> Iterator[tuple[str, Path]]:
    for key in type(tls).model_fields:
        value = getattr(tls, key)
        if key.endswith(_FILE) and value is not None:
            yield key, value


def _obstacles(
    tls: AcceptorTls | RequestorTls, at: tuple[str, ...]
) -> Iterator[tuple[KeyPath, str]]:
    unreadable = [
        ((*at, key), f"{path} cannot be read")
        for key, path in _files(tls)
        if not (path.is_file() and os.access(path, os.R_OK))
    ]
    yield from unreadable
    if unreadable:
        return
    try:
        if isinstance(tls, AcceptorTls):
            acceptor_context(tls.files)
        else:
            requestor_context(tls.files)
    except ssl.SSLError as error:
        what = (error.reason or "not understood").lower().replace("_", " ")
        yield at, f"the files make no TLS identity: {what}"

"""The files that settings name: found beside `node.yaml`, and tried once."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from dicom_node.node_report import MOST_ADDRESSES
from dicom_node.settings.key_lines import KeyPath
from dicom_node.settings.sections import Settings
from dicom_node.settings.tls_sections import AcceptorTls, RequestorTls
from dicom_node.tls import acceptor_context, requestor_context

_FILE = "_file"
_Tls = TypeVar("_Tls", AcceptorTls, RequestorTls)


def with_files_beside(settings: Settings, folder: Path) -> Settings:
    """Return the settings with every file taken from a folder, if relative."""
    node, peers = settings.node, dict(settings.peers)
    if node.tls is not None:
        node = node.model_copy(update={"tls": _absolute(node.tls, folder)})
    for name, peer in peers.items():
        if peer.tls is not None:
            tls = _absolute(peer.tls, folder)
            peers[name] = peer.model_copy(update={"tls": tls})
    notify = settings.notify
    if notify is not None and notify.urls_file is not None:
        path = (folder / notify.urls_file.expanduser()).resolve()
        notify = notify.model_copy(update={"urls_file": path})
    return settings.model_copy(update={"node": node, "peers": peers, "notify": notify})


def obstacles(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    """Yield what is wrong with a file that is named, and where it is named."""
    if settings.notify is not None and settings.notify.urls_file is not None:
        at = ("notify", "urls_file")
        yield from ((at, text) for text in _bad_addresses(settings.notify.urls_file))
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


def _bad_addresses(path: Path) -> Iterator[str]:
    """Yield what is wrong with a file of addresses; none of them is repeated."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        yield f"{path} cannot be read"
        return
    listed = [
        (number, line.strip())
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.strip().startswith("#")
    ]
    if not 1 <= len(listed) <= MOST_ADDRESSES:
        yield f"{path} holds {len(listed)} addresses (1 to {MOST_ADDRESSES})"
    for number, line in listed:
        if "://" not in line:
            yield f"{path}:{number} is no address (such as json://host/path)"

"""The files that settings name: found beside `node.yaml`, and tried once."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from dicom_node.node_report import MOST_ADDRESSES
from dicom_node.passwords import PasswordLineError, users_in
from dicom_node.settings.key_lines import KeyPath
from dicom_node.settings.page_sections import Page
from dicom_node.settings.sections import Settings
from dicom_node.settings.tls_sections import AcceptorTls, RequestorTls
from dicom_node.settings.watch_sections import Ops
from dicom_node.settings.web_peer import WebService
from dicom_node.tls import acceptor_context, requestor_context

_FILE = "_file"
_WEB_SECTIONS = ("web_peers", "fhir_peers")
_Tls = TypeVar("_Tls", AcceptorTls, RequestorTls)


def with_files_beside(settings: Settings, folder: Path) -> Settings:
    """Return the settings with every file but the spool taken from a folder."""
    node, peers = settings.node, dict(settings.peers)
    web_peers = {
        section: {
            name: _web_peer_beside(peer, folder)
            for name, peer in getattr(settings, section).items()
        }
        for section in _WEB_SECTIONS
    }
    hl7_peers = dict(settings.hl7_peers)
    for name, hl7_peer in hl7_peers.items():
        if hl7_peer.tls is not None:
            tls = _absolute(hl7_peer.tls, folder)
            hl7_peers[name] = hl7_peer.model_copy(update={"tls": tls})
    if node.tls is not None:
        node = node.model_copy(update={"tls": _absolute(node.tls, folder)})
    for name, peer in peers.items():
        if peer.tls is not None:
            tls = _absolute(peer.tls, folder)
            peers[name] = peer.model_copy(update={"tls": tls})
    notify = settings.notify
    if notify is not None and notify.urls_file is not None:
        path = _beside(folder, notify.urls_file)
        notify = notify.model_copy(update={"urls_file": path})
    ops = settings.ops
    if ops is not None and ops.page is not None and ops.page.password_file is not None:
        path = _beside(folder, ops.page.password_file)
        page = ops.page.model_copy(update={"password_file": path})
        ops = ops.model_copy(update={"page": page})
    audit = settings.audit
    if audit is not None:
        audit = audit.model_copy(update={"tls": _absolute(audit.tls, folder)})
    update = {"node": node, "peers": peers, "notify": notify, "ops": ops}
    return settings.model_copy(
        update={**update, "audit": audit, **web_peers, "hl7_peers": hl7_peers}
    )


def obstacles(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    """Yield what is wrong with a file that is named, and where it is named."""
    if settings.notify is not None and settings.notify.urls_file is not None:
        at = ("notify", "urls_file")
        yield from ((at, text) for text in _bad_addresses(settings.notify.urls_file))
    if settings.node.tls is not None:
        yield from _obstacles(settings.node.tls, ("node", "tls"))
    for section in ("peers", "hl7_peers"):
        for name, peer in getattr(settings, section).items():
            if peer.tls is not None:
                yield from _obstacles(peer.tls, (section, name, "tls"))
    for section in _WEB_SECTIONS:
        for name, web_peer in getattr(settings, section).items():
            yield from _web_peer_obstacles(web_peer, (section, name))
    if settings.audit is not None:
        yield from _obstacles(settings.audit.tls, ("audit", "tls"))
    if settings.ops is not None and settings.ops.page is not None:
        yield from _page_obstacles(settings.ops, settings.ops.page)


def _web_peer_beside(peer: WebService, folder: Path) -> WebService:
    files = {
        key: _beside(folder, path)
        for key in ("token_file", "password_file")
        if (path := getattr(peer, key)) is not None
    }
    return peer.model_copy(update={**files, "tls": _absolute(peer.tls, folder)})


def _web_peer_obstacles(
    peer: WebService, at: tuple[str, ...]
) -> Iterator[tuple[KeyPath, str]]:
    """Yield what is wrong with how a web service is asked."""
    yield from _obstacles(peer.tls, (*at, "tls"))
    for key in ("token_file", "password_file"):
        path = getattr(peer, key)
        if path is not None and not (os.access(path, os.R_OK) and path.is_file()):
            yield (*at, key), f"{path} cannot be read"
    if (peer.user is None) != (peer.password_file is None):
        yield at, "user and password_file go together"
    if peer.user is not None and peer.token_file is not None:
        yield (*at, "user"), "a service is asked by token_file or by user, not by both"
    url = urlsplit(peer.url)
    is_open = url.scheme == "http" and not _is_loopback(str(url.hostname))
    if peer.has_credentials and is_open:
        yield (*at, "url"), "credentials go over https alone, but on this machine"


def _page_obstacles(ops: Ops, page: Page) -> Iterator[tuple[KeyPath, str]]:
    """Yield what is wrong with who may look at the page, and do something there."""
    at = ("ops", "page")
    knows_users = page.password_file is not None or page.proxy is not None
    how = "needs ops.page.password_file or ops.page.proxy"
    for key in ("actions", "patient_data"):
        if getattr(page, key) and not knows_users:
            yield (*at, key), f"true {how}: whoever looks has to be known by name"
    if not knows_users and not _is_loopback(ops.bind):
        yield at, f"on {ops.bind} {how}: others than this machine reach it"
    if page.password_file is None:
        return
    try:
        users_in(page.password_file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        yield (*at, "password_file"), f"{page.password_file} cannot be read"
    except PasswordLineError as error:
        yield (*at, "password_file"), f"{page.password_file}: {error}"


def _is_loopback(bind: str) -> bool:
    try:
        return ip_address(bind).is_loopback
    except ValueError:
        return bind == "localhost"


def _absolute(tls: _Tls, folder: Path) -> _Tls:
    found = {key: _beside(folder, value) for key, value in _files(tls)}
    return tls.model_copy(update=found)


def _beside(folder: Path, path: Path) -> Path:
    """Return where a file lies that is named from a folder."""
    with suppress(RuntimeError):  # a home that nobody has: there is no such file
        path = path.expanduser()
    return (folder / path).resolve()


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
        # In this order, for in a folder that is closed to us `is_file` raises.
        if not (os.access(path, os.R_OK) and path.is_file())
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

"""Storage SCPs that a benchmark compares, each as processes of its own."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from pynetdicom import AE, AllStoragePresentationContexts, _config, evt

from tests.support.acceptors import OPTIONS, Acceptors
from tests.support.peers import (
    DCMTK_ENVIRONMENT,
    HOST,
    VERIFICATION,
    free_port,
    run_dcmtk,
    wait_until,
)

PDU_BYTES = 131072

Receiver = Callable[[Path], AbstractContextManager[int]]
"""Starts on a folder and yields the port."""


@contextmanager
def lumbar_node(folder: Path) -> Iterator[int]:
    """Run two acceptors, as the settings have it by default; fsync, rename, fsync."""
    options = replace(
        OPTIONS, called_ae=None, calling_aes=None, max_associations=32, title_limit=24
    )
    with Acceptors(folder, options=options, processes=2) as acceptors:
        yield acceptors.port


@contextmanager
def orthanc(folder: Path) -> Iterator[int]:
    """Run Orthanc as Debian has it; its SyncStorageArea (fsync) is on by default."""
    port = free_port()
    folder.mkdir(parents=True)
    settings = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "HttpServerEnabled": False,
        "DicomPort": port,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowEcho": True,
    }
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps(settings))
    with _running(["Orthanc", str(configuration)], port):
        yield port


@contextmanager
def storescp(folder: Path) -> Iterator[int]:
    """Run DCMTK's receiver at its quickest: a process each, bytes as they come.

    It does not fsync, so its success does not mean that the instance is on the disk.
    """
    port = free_port()
    folder.mkdir(parents=True)
    command = ["storescp", "--fork", "+B", "-pdu", str(PDU_BYTES)]
    with _running([*command, "-od", str(folder), str(port)], port):
        yield port


@contextmanager
def pynetdicom(folder: Path) -> Iterator[int]:
    """Run two pynetdicom processes on one port; raw bytes, fsync, rename, fsync."""
    port = free_port()
    folder.mkdir(parents=True)
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_serve_pynetdicom, args=(folder, port), daemon=True)
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    try:
        wait_until(lambda: _echoes(port), what="pynetdicom answers")
        yield port
    finally:
        for process in processes:
            process.kill()
            process.join()


def _serve_pynetdicom(folder: Path, port: int) -> None:
    from pynetdicom import transport

    _config.LOG_HANDLER_LEVEL = "none"
    bind = transport.AssociationServer.server_bind

    def bind_shared(self: transport.AssociationServer) -> None:
        assert self.socket is not None
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bind(self)

    # It offers no option for a shared port.
    transport.AssociationServer.server_bind = bind_shared  # type: ignore[method-assign]
    ae = AE()
    ae.maximum_pdu_size = PDU_BYTES
    ae.maximum_associations = 32
    ae.add_supported_context(VERIFICATION)
    for found in AllStoragePresentationContexts:
        ae.add_supported_context(found.abstract_syntax or "")

    def store(event: evt.Event) -> int:
        content = event.encoded_dataset()
        path = folder / hashlib.sha256(content).hexdigest()
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        return 0x0000

    ae.start_server((HOST, port), evt_handlers=[(evt.EVT_C_STORE, store)])


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(
        command,
        env={**DCMTK_ENVIRONMENT, "PATH": f"{DCMTK_ENVIRONMENT['PATH']}:/usr/sbin"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _echoes(port), what=f"{command[0]} answers")
        yield
    finally:
        process.terminate()
        process.wait(30)


def _echoes(port: int) -> bool:
    done = run_dcmtk("echoscu", "-aet", "PACS", "-aec", "LUMBAR_AI", HOST, str(port))
    return done.returncode == 0

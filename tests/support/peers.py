"""Peers of the node: a recording archive with faults, and senders of two makes."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import Self

from pydicom import Dataset, dcmread
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
)
from pynetdicom.transport import ThreadedAssociationServer

from dicom_node.peers.associate import leave_answers

HOST = "127.0.0.1"
WITHIN_S = 240.0
"""How long a test waits before it fails. A slow machine takes long, and a wait that
succeeds costs nothing."""
POLL_S = 0.02
"""How often a server of the tests looks whether it has to end."""
VERIFICATION = "1.2.840.10008.1.1"
LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
RESULT_CLASSES = (
    SegmentationStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    SecondaryCaptureImageStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    LABEL_MAP_STORAGE,
)

DCMTK_ENVIRONMENT = {
    **os.environ,
    # An active environment of ours has pynetdicom's commands of the same names.
    "PATH": os.pathsep.join(
        folder
        for folder in os.environ["PATH"].split(os.pathsep)
        if Path(folder) != Path(sys.executable).parent
    ),
    "TCP_NODELAY": "1",  # without it Debian's DCMTK stalls 44 ms an instance (Nagle)
}


_FIRST_PORT, _PORTS_EACH, _MOST_PROCESSES = 16384, 1024, 16


@cache
def _own_ports() -> Iterator[int]:
    """Yield the ports that no other process of the suite tries, again and again.

    They lie below those that Linux gives to whoever connects: a connection of another
    test would take one of these before who is to listen there has started.
    """
    name = os.environ.get("PYTEST_XDIST_WORKER", f"gw{_MOST_PROCESSES - 1}")
    slot = int(name.removeprefix("gw")) % _MOST_PROCESSES
    offset = os.getpid() % _PORTS_EACH  # of another suite on the same machine
    first = _FIRST_PORT + slot * _PORTS_EACH
    return cycle(first + (offset + n) % _PORTS_EACH for n in range(_PORTS_EACH))


def free_port() -> int:
    """Return a port that nobody listens on, and that nobody is given by chance."""
    for port in _own_ports():
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise AssertionError


def listens(port: int) -> bool:
    """Return whether a TCP connection is accepted."""
    try:
        socket.create_connection((HOST, port), 5).close()
    except OSError:
        return False
    return True


def connected(port: int) -> socket.socket:
    """Return a connection on which nobody waits for ever."""
    return socket.create_connection((HOST, port), WITHIN_S)


def wait_until(
    condition: Callable[[], bool],
    *,
    within_s: float = WITHIN_S,
    what: str = "condition",
    every_s: float = 0.1,
) -> None:
    """Return once the condition holds.

    Parameters
    ----------
    within_s
        Less only where a promise of the node says so.
    every_s
        Pause between two looks; longer where a look starts a process, which would
        take the processor from what is waited for.

    Raises
    ------
    TimeoutError
        If it does not within the time.
    """
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            message = f"{what}: not within {within_s:g} s"
            raise TimeoutError(message)
        time.sleep(every_s)


@dataclass
class Archive:
    """A Storage SCP that remembers what it was sent, with faults on demand.

    Parameters
    ----------
    port
        0 takes a free one, and keeps it over a stop and a start.
    host
        The address on which it listens.
    refused_classes
        SOP classes that it does not negotiate.
    abort_at
        It aborts the association on each C-STORE of this number (from 1) on, while set.
    failure_status, error_comment
        Answered to every C-STORE, while set.
    last_stored_s
        When the last instance was stored, on the monotonic clock.
    counts
        Number of Series Related Instances by series UID, as it answers C-FIND.
    study_date
        Of every study, as it answers C-FIND; empty if it does not tell.
    """

    ae_title: str = "PACS"
    port: int = 0
    host: str = HOST
    refused_classes: tuple[str, ...] = ()
    abort_at: int | None = None
    failure_status: int | None = None
    error_comment: str = ""
    received: list[Dataset] = field(default_factory=list)
    requests: int = 0
    associations: int = 0
    last_stored_s: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    study_date: str = ""
    _server: ThreadedAssociationServer | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Listen."""
        ae = AE(ae_title=self.ae_title)
        ae.add_supported_context(VERIFICATION)
        for sop_class in (*RESULT_CLASSES, MRImageStorage):
            if sop_class not in self.refused_classes:
                ae.add_supported_context(
                    sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
                )
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        self.port = self.port or free_port()
        server = ae.start_server(
            (self.host, self.port),
            block=False,
            evt_handlers=[
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_C_FIND, self._find),
                (evt.EVT_ESTABLISHED, self._opened),
            ],
        )
        self._server = server

    def stop(self) -> None:
        """Stop listening; what was received is kept."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def _opened(self, _event: evt.Event) -> None:
        with self._lock:
            self.associations += 1

    def _failure(self, status: int) -> Dataset:
        answer = Dataset()
        answer.Status = status
        answer.ErrorComment = self.error_comment
        return answer

    def _store(self, event: evt.Event) -> int | Dataset:
        with self._lock:
            self.requests += 1
            if self.abort_at is not None and self.requests >= self.abort_at:
                event.assoc.abort()
                return 0xC000
            if self.failure_status is not None:
                return self._failure(self.failure_status)
            dataset = event.dataset
            dataset.file_meta = event.file_meta
            self.received.append(dataset)
            self.last_stored_s = time.monotonic()
        return 0x0000

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        answer = event.identifier
        count = self.counts.get(str(answer.SeriesInstanceUID))
        if count is not None:
            answer.NumberOfSeriesRelatedInstances = count
            answer.StudyDate, answer.StudyTime = self.study_date, ""
            yield 0xFF00, answer

    def classes(self) -> list[str]:
        """Return the SOP classes received, in order."""
        with self._lock:
            return [str(dataset.SOPClassUID) for dataset in self.received]

    def results_of(self, series: Iterable[Dataset]) -> list[Dataset]:
        """Return the results received that refer to these source instances."""
        sources = {str(instance.SOPInstanceUID) for instance in series}
        with self._lock:
            received = list(self.received)
        return [found for found in received if sources & referenced_instances(found)]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def referenced_instances(dataset: Dataset) -> set[str]:
    """Return the SOP Instance UIDs to which an object refers."""
    return {
        str(element.value)
        for element in dataset.iterall()
        if element.keyword == "ReferencedSOPInstanceUID"
    }


def send(
    datasets: Iterable[Dataset],
    port: int,
    *,
    calling: str = "PACS",
    called: str = "LUMBAR_AI",
    release: bool = True,
    answer_within_s: float = WITHIN_S,
) -> list[int | None]:
    """Send by one association and return the status of each; None without answer.

    Parameters
    ----------
    answer_within_s
        Then the sender aborts.

    Raises
    ------
    ConnectionError
        If the association is not accepted.
    """
    ready = list(datasets)
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = answer_within_s
    for sop_class, syntax in {
        (str(found.SOPClassUID), str(found.file_meta.TransferSyntaxUID))
        for found in ready
    }:
        ae.add_requested_context(sop_class, syntax)
    association = ae.associate(HOST, port, ae_title=called)
    if not association.is_established:
        message = f"no association with {called} on {port}"
        raise ConnectionError(message)
    leave_answers(association)
    statuses = [association.send_c_store(found).get("Status") for found in ready]
    if release:
        association.release()
    else:
        association.abort()
    return statuses


def read_series(folder: Path) -> list[Dataset]:
    """Read every DICOM file of a folder, by name."""
    return [dcmread(path) for path in sorted(folder.rglob("*.dcm"))]


def echo(
    port: int,
    *,
    calling: str = "PACS",
    called: str = "LUMBAR_AI",
    within_s: float = WITHIN_S,
) -> bool:
    """Return whether a C-ECHO is answered with success."""
    # pynetdicom forgets its socket when the connection is refused.
    if not listens(port):
        return False
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = within_s
    ae.connection_timeout = within_s
    ae.add_requested_context(VERIFICATION)
    association = ae.associate(HOST, port, ae_title=called)
    if not association.is_established:
        return False
    status = association.send_c_echo()
    association.release()
    return bool(status.get("Status") == 0x0000)


def run_dcmtk(
    *command: str, within_s: float = WITHIN_S
) -> subprocess.CompletedProcess[str]:
    """Run one DCMTK program and return what it said."""
    return subprocess.run(
        command,
        env=DCMTK_ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )


def storescu(folder: Path, port: int, *, options: Sequence[str] = ()) -> str:
    """Send a folder with DCMTK storescu, which must succeed."""
    done = run_dcmtk(
        "storescu", "-aet", "PACS", "-aec", "LUMBAR_AI", "+sd", "+r", "-R", *options,
        HOST, str(port), str(folder),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def dcmsend(folder: Path, port: int, *, options: Sequence[str] = ()) -> str:
    """Send a folder with DCMTK dcmsend, which must succeed."""
    done = run_dcmtk(
        "dcmsend", "-aet", "PACS", "-aec", "LUMBAR_AI", "+sd", "+r", *options,
        HOST, str(port), str(folder),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr

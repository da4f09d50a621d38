"""The peers to which results go: processes that can vanish and freeze."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from tests.support.orthanc import Orthanc
from tests.support.peers import DCMTK_ENVIRONMENT, HOST, free_port, listens, wait_until


class Peer(ABC):
    """One archive as a process of its own, in a process group of its own."""

    def __init__(self, name: str, ae_title: str, folder: Path) -> None:
        self.name = name
        self.ae_title = ae_title
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs; return before it answers."""
        if self._process is None or self._process.poll() is not None:
            self._process = self._begin()

    def wait(self) -> None:
        """Return once it listens."""
        wait_until(lambda: listens(self.port), what=f"{self.name} listens")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        if number is signal.SIGKILL:
            self._process.wait(10)

    @abstractmethod
    def _begin(self) -> subprocess.Popen[bytes]:
        """Start the process."""

    @abstractmethod
    def objects(self, study_uids: Iterable[str]) -> Iterator[Dataset]:
        """Yield what it holds of some studies, without pixels."""

    @abstractmethod
    def clear(self) -> None:
        """Forget everything."""

    def _popen(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=DCMTK_ENVIRONMENT,
            start_new_session=True,
        )


class _FolderPeer(Peer):
    """A peer that writes one file an instance."""

    def objects(self, study_uids: Iterable[str]) -> Iterator[Dataset]:
        """Yield what it holds of some studies, without pixels."""
        wanted = set(study_uids)
        for path in sorted(self.folder.iterdir()):
            if path.suffix == ".partial":
                continue
            # A file that a killed storescp left half written was never acknowledged.
            with contextlib.suppress(InvalidDicomError, EOFError, OSError):
                found = dcmread(path, stop_before_pixels=True, force=True)
                if found.get("StudyInstanceUID") in wanted:
                    yield found

    def clear(self) -> None:
        """Forget everything."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)


class RecordingPeer(_FolderPeer):
    """Our own archive, of pynetdicom."""

    def _begin(self) -> subprocess.Popen[bytes]:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self._popen(
            sys.executable,
            "-m",
            "tests.chaos.recording_peer",
            self.ae_title,
            str(self.port),
            str(self.folder),
        )


class StorescpPeer(_FolderPeer):
    """DCMTK's storescp, with a process for each association."""

    def _begin(self) -> subprocess.Popen[bytes]:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self._popen(
            "storescp", "--fork", "-aet", self.ae_title, "-od", str(self.folder),
            str(self.port),
        )  # fmt: skip


class OrthancPeer(Peer):
    """Orthanc as an archive that routes nothing, and reports what it has committed to.

    Parameters
    ----------
    node_port
        Where the node takes its reports.
    """

    def __init__(self, name: str, folder: Path, *, node_port: int) -> None:
        super().__init__(name, "TESTPACS", folder)
        self._orthanc = Orthanc(
            folder, node_port=node_port, routes_nothing=True, dicom_port=self.port
        )

    def _begin(self) -> subprocess.Popen[bytes]:
        program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
        return self._popen(program, str(self._orthanc.configure()))

    def objects(self, study_uids: Iterable[str]) -> Iterator[Dataset]:
        """Yield what it holds of some studies, without pixels."""
        wanted = set(study_uids)
        for study in self._orthanc.get("/studies?expand"):
            if study["MainDicomTags"]["StudyInstanceUID"] not in wanted:
                continue
            for instance in self._orthanc.get(f"/studies/{study['ID']}/instances"):
                yield self._object(instance["ID"])

    def _object(self, instance_id: str) -> Dataset:
        url = f"http://{HOST}:{self._orthanc.http_port}/instances/{instance_id}/file"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return dcmread(BytesIO(answer.read()), stop_before_pixels=True)

    def clear(self) -> None:
        """Forget everything."""
        for study_id in self._orthanc.get("/studies"):
            request = urllib.request.Request(
                f"http://{HOST}:{self._orthanc.http_port}/studies/{study_id}",
                method="DELETE",
            )
            urllib.request.urlopen(request, timeout=30).close()

"""Orthanc as the PACS: a real process with the configuration of `deploy/orthanc`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.peers import HOST, free_port, wait_until

CONFIGURATION = Path(__file__).resolve().parents[2] / "deploy" / "orthanc"
DICOM_WEB_PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
"""Where Debian puts it."""


@dataclass
class Orthanc:
    """One Orthanc that routes to the node what becomes stable.

    Parameters
    ----------
    folder
        Where it keeps its database.
    node_port
        Where the node listens.
    routes_everything
        Route our own results back to the node too, as a careless rule would.
    routes_nothing
        Be an archive alone.
    answers_dicom_web
        Answer DICOMweb below `/dicom-web`, as viewers in browsers ask.
    """

    folder: Path
    node_port: int
    routes_everything: bool = False
    routes_nothing: bool = False
    answers_dicom_web: bool = False
    dicom_port: int = 0
    http_port: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.dicom_port = self.dicom_port or free_port()
        self.http_port = self.http_port or free_port()

    def configure(self) -> Path:
        """Write its configuration, and return the path."""
        settings = json.loads((CONFIGURATION / "orthanc.json").read_text())
        self.folder.mkdir(parents=True, exist_ok=True)
        script = (CONFIGURATION / "route.lua").read_text()
        if self.routes_everything:
            script = script.replace(
                "ROUTE_EVERYTHING = false", "ROUTE_EVERYTHING = true"
            )
        (self.folder / "route.lua").write_text(script)
        settings |= {
            "StorageDirectory": str(self.folder / "db"),
            "IndexDirectory": str(self.folder / "db"),
            "DicomPort": self.dicom_port,
            "HttpPort": self.http_port,
            "LuaScripts": []
            if self.routes_nothing
            else [str(self.folder / "route.lua")],
        }
        settings["DicomModalities"]["ainode"]["Port"] = self.node_port
        if self.answers_dicom_web:
            settings["Plugins"] = [DICOM_WEB_PLUGIN]
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(settings, indent=1))
        return path

    def __enter__(self) -> Self:
        path = self.configure()
        program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
        with (self.folder / "orthanc.log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, str(path)],
                stdout=log,
                stderr=log,
                env={**os.environ, "TCP_NODELAY": "1"},
            )
        wait_until(self._answers, what="Orthanc answers")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)

    def _answers(self) -> bool:
        try:
            self.get("/system")
        except OSError:
            return False
        return True

    def get(self, path: str) -> Any:
        """Return what the REST interface answers."""
        url = f"http://{HOST}:{self.http_port}{path}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return json.loads(answer.read())

    def instances(self) -> list[dict[str, str]]:
        """Return the main attributes of every instance that is kept."""
        rows = []
        for row in self.get("/instances?expand"):
            series = self.get(f"/series/{row['ParentSeries']}")
            study = self.get(f"/studies/{series['ParentStudy']}")
            rows.append(
                {
                    "id": row["ID"],
                    "sop_uid": row["MainDicomTags"]["SOPInstanceUID"],
                    "modality": series["MainDicomTags"]["Modality"],
                    "series_uid": series["MainDicomTags"]["SeriesInstanceUID"],
                    "series_number": series["MainDicomTags"].get("SeriesNumber", ""),
                    "study_uid": study["MainDicomTags"]["StudyInstanceUID"],
                    "patient_id": study["PatientMainDicomTags"]["PatientID"],
                }
            )
        return rows

    def put(self, path: Path) -> str:
        """Store a Part 10 file over HTTP, and return the id of its instance."""
        request = urllib.request.Request(
            f"http://{HOST}:{self.http_port}/instances",
            data=path.read_bytes(),
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(json.loads(answer.read())["ID"])

    def file_of(self, instance: str, path: Path) -> Path:
        """Write the Part 10 file of one instance to `path`, and return the path."""
        url = f"http://{HOST}:{self.http_port}/instances/{instance}/file"
        with urllib.request.urlopen(url, timeout=60) as answer:
            path.write_bytes(answer.read())
        return path

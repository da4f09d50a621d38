"""`lumbar-node test`: the bundled series through the running node, timed."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dicom_node
from dicom_node.cli.console import complain, progress, say, say_json, say_table
from dicom_node.cli.exit_code import ExitCode
from dicom_node.cli.load_settings import peer_named, read
from dicom_node.errors import JobStateError
from dicom_node.records import InstanceOutcome, JobRow, JobState
from dicom_node.settings.self_test import TEST_TITLE, sink

if TYPE_CHECKING:
    from dicom_node.jobs.job_reader import JobStory
    from dicom_node.jobs.queue import JobQueue
    from dicom_node.settings.sections import Peer, Settings

PATIENT_NAME = "TEST^LUMBAR-NODE"
PATIENT_ID = "LUMBAR-NODE-TEST"
_STUDY_DESCRIPTION = "lumbar-node test, no patient"
_UNSETTLED = frozenset({JobState.WAITING, JobState.RUNNING, JobState.DELIVERING})
_LOOK_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """A series that was sent, under UIDs that nobody has seen before."""

    paths: tuple[Path, ...]
    study_uid: str
    series_uid: str


def run_test(arguments: argparse.Namespace) -> ExitCode:
    """Send the bundled series to the running node, and wait for its results.

    They come to a sink of this command, and go to no peer; with `--peer` series and
    results are sent to that one afterwards, as of a test patient.

    Returns
    -------
    ExitCode
        `DONE` if all results came, and a peer that was named has stored everything.
    """
    from dicom_node.cli.setup_commands import itself
    from dicom_node.jobs.job_reader import JobReader
    from dicom_node.jobs.queue import JobQueue
    from dicom_node.peers.send import send_instances
    from dicom_node.peers.sink import storage_sink

    settings = read(arguments.config)
    archive = None if arguments.peer is None else peer_named(arguments.peer, settings)
    ours = settings.node.ae_title
    with tempfile.TemporaryDirectory(prefix="lumbar-node-test-") as name:
        folder, results = Path(name), Path(name) / "results"
        results.mkdir()
        sent = _new_examination(folder / "series")
        place = sink(settings)
        with storage_sink(
            place.ae_title, host=place.host, port=place.port, folder=results
        ):
            answers = send_instances(
                "the node", itself(settings), sent.paths, calling_ae=TEST_TITLE
            )
            if _refused(answers):
                return _failed(_refused(answers), arguments)
            queue = JobQueue(settings.database_url)
            try:
                row = _settled(sent, queue, within_s=arguments.within)
            finally:
                queue.close()
        if row is None or row.state is not JobState.DONE:
            return _failed([_why_not(row, arguments.within)], arguments)
        came = sorted(results.iterdir())
        story = JobReader(settings.database_url).story(row.id)
        told: dict[str, Any] = {
            "passed": True,
            "job_id": row.id,
            "seconds": _seconds_of(story),
            "results": [_about(path) for path in came],
        }
        missing = _missing(row, told["results"], settings)
        archived: Sequence[InstanceOutcome] = ()
        if archive is not None:
            archived = send_instances(
                arguments.peer, archive, [*sent.paths, *came], calling_ae=ours
            )
            told["archived"] = sum(one.stored for one in archived)
    refused = [*missing, *_refused(archived)]
    if refused:
        return _failed(refused, arguments)
    _say(told, arguments, archive)
    return ExitCode.DONE


def _new_examination(folder: Path) -> _Sent:
    """Write the bundled series as one of a test patient, with UIDs of its own."""
    from pydicom import dcmread
    from pydicom.uid import generate_uid

    folder.mkdir()
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    paths = []
    for source in sorted(_bundled().glob("*.dcm")):
        dataset = dcmread(source)
        dataset.PatientName, dataset.PatientID = PATIENT_NAME, PATIENT_ID
        dataset.StudyDescription = _STUDY_DESCRIPTION
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.FrameOfReferenceUID = frame
        dataset.SOPInstanceUID = generate_uid()
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        paths.append(folder / source.name)
        dataset.save_as(paths[-1], enforce_file_format=True)
    return _Sent(paths=tuple(paths), study_uid=study, series_uid=series)


def _bundled() -> Path:
    package = Path(dicom_node.__file__).parent
    installed = package / "test_series"
    return installed if installed.is_dir() else package.parent / "deploy/demo/series"


def _settled(sent: _Sent, queue: JobQueue, *, within_s: float) -> JobRow | None:
    """Return the job of the test once it is settled.

    One that is not in time is cancelled, for its results would wait for days for a sink
    that has gone. None if there is no job yet.
    """
    until_s = time.monotonic() + within_s
    while True:
        rows = queue.of_series(sent.study_uid, sent.series_uid)
        row = rows[0] if rows else None
        if row is not None and row.state not in _UNSETTLED:
            progress("")
            return row
        if time.monotonic() > until_s:
            break
        progress("waits to be complete" if row is None else row.state.value)
        time.sleep(_LOOK_S)
    progress("")
    if row is None:
        return None
    try:
        queue.cancel(row.id)
    except JobStateError:
        return queue.show(row.id)  # it was settled meanwhile
    return row


def _why_not(row: JobRow | None, within_s: float) -> str:
    if row is None:
        return f"no job within {within_s:g} s: does a worker run? `lumbar-node status`"
    if row.state in _UNSETTLED:
        return f"job {row.id} was {row.state.value} after {within_s:g} s; cancelled"
    return f"job {row.id} is {row.state.value}: {row.reason}"


def _seconds_of(story: JobStory) -> dict[str, float]:
    """Return how long each step took, and all from the last instance on."""
    first = story.stages[0]
    spans = {
        "sent": story.last_s - story.first_s,
        "complete": (story.queued_s or first.started_s) - story.last_s,
        **{one.name: one.ended_s - one.started_s for one in story.stages},
        "all": story.stages[-1].ended_s - story.last_s,
    }
    return {name: round(seconds, 2) for name, seconds in spans.items()}


def _about(path: Path) -> dict[str, str]:
    from pydicom import dcmread

    header = dcmread(path, stop_before_pixels=True)
    return {
        "modality": str(header.Modality),
        "description": str(header.get("SeriesDescription", "")),
    }


def _missing(
    row: JobRow, came: Sequence[dict[str, str]], settings: Settings
) -> list[str]:
    """Return what a route makes and the sink did not get."""
    from dicom_node.dimse.result_classes import classes_of

    (route,) = (one for one in settings.routes if one.name == row.route)
    there = {one["modality"] for one in came}
    return [
        f"no {role} came"
        for role in route.objects
        if classes_of(role)[0].modality not in there
    ]


def _refused(outcomes: Sequence[InstanceOutcome]) -> list[str]:
    return [f"{one.path.name}: {one.text}" for one in outcomes if not one.stored]


def _failed(reasons: Sequence[str], arguments: argparse.Namespace) -> ExitCode:
    if arguments.json:
        say_json({"passed": False, "reasons": list(reasons)})
    for reason in reasons:
        complain(f"lumbar-node: the test failed: {reason}")
    return ExitCode.FAILED


def _say(
    told: dict[str, Any], arguments: argparse.Namespace, archive: Peer | None
) -> None:
    if arguments.json:
        say_json(told)
        return
    say_table(
        ("STEP", "SECONDS"),
        [(name, f"{seconds:.2f}") for name, seconds in told["seconds"].items()],
    )
    say("")
    say_table(
        ("RESULT", "SERIES"),
        [(one["modality"], one["description"]) for one in told["results"]],
    )
    if archive is not None:
        say(
            f"{arguments.peer} has stored {told['archived']} instances of patient "
            f"{PATIENT_ID} ({PATIENT_NAME}); remove them there"
        )
    say("passed")

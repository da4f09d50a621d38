"""The demo: a real lumbar series goes in by C-STORE; SEG, SR and captures come back.

Starts a small archive as the PACS and the node, plays the PACS' auto-route, waits for
the results, and prints the measurements as they stand in the SR that came back.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import (
    Comprehensive3DSRStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE
from table import measurement_table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RUN = ROOT / ".demo"
SERIES = HERE / "series"
PIDS = RUN / "pids"

EXPECTED = {SegmentationStorage, Comprehensive3DSRStorage, SecondaryCaptureImageStorage}
START_S = 60.0
RESULTS_S = 170.0
STOP_S = 12.0
SETTLED_S = 1.5
"""After the last expected object: time for a further captured page."""

CONFIG = """\
# Written by `make demo`; a site starts from config/node.yaml.
version: 1
node: {{ae_title: LUMBAR_AI, bind: 127.0.0.1, port: {node_port}}}
peers:
  pacs: {{ae_title: DEMO_PACS, host: 127.0.0.1, port: {archive_port}}}
spool: {{folder: {spool}, min_free_gb: 0.1}}
series: {{quiet_s: 2, confirm_by_c_find: false}}
ops: {{port: {page_port}, page: {{}}}}
routes:
  - name: lumbar-t2-sagittal
    analysis: lumbar-mri
    deliver_to: [pacs]
"""


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


def say(text: str) -> None:
    """Print one line at once."""
    print(text, flush=True)


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def stop(pid: int) -> None:
    """End a process group of ours: politely, then not."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + STOP_S
        while time.monotonic() < end:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            os.kill(pid, 0)
            time.sleep(0.1)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def stop_left_over() -> None:
    """End what a demo that was killed left running."""
    if not PIDS.is_file():
        return
    for line in PIDS.read_text().split():
        pid = int(line)
        command = Path(f"/proc/{pid}/cmdline")
        # A pid may have gone to someone else since; ours name our folder.
        if command.is_file() and str(RUN).encode() in command.read_bytes():
            say(f"    ending process {pid} of an earlier demo")
            stop(pid)


@contextlib.contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a child in its own process group, and end it with the block."""
    with log.open("w") as errors:
        child = subprocess.Popen(
            command,
            stdout=subprocess.PIPE if log.name == "archive.log" else errors,
            stderr=errors,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )
    with PIDS.open("a") as pids:
        pids.write(f"{child.pid}\n")
    try:
        yield child
    finally:
        stop(child.pid)
        if child.stdout is not None:
            child.stdout.close()


def wait_for_echo(node: subprocess.Popen[str], port: int) -> None:
    """Return once the node answers C-ECHO."""
    ae = AE(ae_title="DEMO_PACS")
    ae.add_requested_context("1.2.840.10008.1.1")
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if node.poll() is not None:
            message = f"the node ended with exit code {node.returncode}"
            raise DemoError(message)
        association = ae.associate("127.0.0.1", port, ae_title="LUMBAR_AI")
        if association.is_established:
            association.send_c_echo()
            association.release()
            return
        time.sleep(0.3)
    message = f"the node did not answer C-ECHO within {START_S:.0f} s"
    raise DemoError(message)


def send(series: list[Path], port: int) -> None:
    """Play the auto-route of the PACS: one association, every instance."""
    datasets = [dcmread(path) for path in series]
    ae = AE(ae_title="DEMO_PACS")
    for sop_class, syntax in {
        (dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
        for dataset in datasets
    }:
        ae.add_requested_context(sop_class, syntax)
    association = ae.associate("127.0.0.1", port, ae_title="LUMBAR_AI")
    if not association.is_established:
        message = "the node refused the association"
        raise DemoError(message)
    for dataset in datasets:
        status = association.send_c_store(dataset)
        if status.get("Status") != 0x0000:
            message = f"C-STORE was answered {status.get('Status')}"
            raise DemoError(message)
    association.release()


def arrived(folder: Path) -> list[Dataset]:
    """Read what the archive holds by now."""
    return [dcmread(path) for path in sorted(folder.glob("*.dcm"))]


def wait_for_results(node: subprocess.Popen[str], folder: Path) -> list[Dataset]:
    """Return the results once a SEG, an SR and a capture came back."""
    start = time.monotonic()
    seen = -1
    while time.monotonic() - start < RESULTS_S:
        count = len(list(folder.glob("*.dcm")))
        if count != seen:
            seen = count
            objects = arrived(folder)
            if {str(found.SOPClassUID) for found in objects} >= EXPECTED:
                time.sleep(SETTLED_S)
                _progress(start, seen, last=True)
                return arrived(folder)
        if node.poll() is not None:
            message = f"the node ended with exit code {node.returncode}"
            raise DemoError(message)
        _progress(start, seen)
        time.sleep(0.5)
    message = f"only {seen} objects came back within {RESULTS_S:.0f} s"
    raise DemoError(message)


def _progress(start: float, count: int, *, last: bool = False) -> None:
    text = f"    {time.monotonic() - start:5.1f} s, {count} objects are back"
    if sys.stdout.isatty():
        print(f"\r{text}", end="\n" if last else "", flush=True)
    elif last:
        say(text)


def write_pictures(objects: list[Dataset]) -> list[Path]:
    """Write every captured page as PNG."""
    captures = [o for o in objects if o.SOPClassUID == SecondaryCaptureImageStorage]
    captures.sort(key=lambda capture: int(capture.InstanceNumber))
    paths = []
    for number, capture in enumerate(captures, start=1):
        path = RUN / f"capture_{number:02d}.png"
        Image.fromarray(capture.pixel_array).save(path)
        paths.append(path)
    return paths


def show(objects: list[Dataset], sent: Dataset) -> None:
    """Print what came back.

    Raises
    ------
    DemoError
        If a result stands in another study, or the SR holds no number.
    """
    for found in objects:
        if found.StudyInstanceUID != sent.StudyInstanceUID:
            message = "a result came back in another study"
            raise DemoError(message)
        kind = found.SOPClassUID.name
        say(f"    {found.Modality:<3} series {found.SeriesNumber}, {kind}")
    segments = [
        str(item.SegmentLabel)
        for found in objects
        if found.SOPClassUID == SegmentationStorage
        for item in found.SegmentSequence
    ]
    say(f"    segments: {', '.join(segments)}")
    say("\n==> the measurements, as they stand in the SR that came back")
    reports = [found for found in objects if found.Modality == "SR"]
    lines, numbers = measurement_table(reports[0])
    for line in lines:
        say(f"    {line}")
    if numbers == 0:
        message = "the SR holds no measurement"
        raise DemoError(message)
    say("\n==> pictures (research use, not for diagnosis)")
    for path in write_pictures(objects):
        say(f"    {path}")
    say(f"    all objects: {RUN / 'archive'}")


def play() -> None:
    """Run the demo from start to end."""
    series = sorted(SERIES.rglob("*.dcm"))
    if not series:
        message = f"no series in {SERIES}"
        raise DemoError(message)
    stop_left_over()
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir(parents=True)
    started = time.monotonic()
    archive_command = [sys.executable, str(HERE / "archive.py"), str(RUN / "archive")]
    with running(archive_command, RUN / "archive.log") as archive:
        line = archive.stdout.readline() if archive.stdout else ""
        if not line:
            message = f"the archive did not start; see {RUN / 'archive.log'}"
            raise DemoError(message)
        say(f"==> archive DEMO_PACS (a stand-in for a PACS) on 127.0.0.1:{int(line)}")
        config = RUN / "node.yaml"
        port, page_port = free_port(), free_port()
        config.write_text(
            CONFIG.format(
                node_port=port,
                page_port=page_port,
                archive_port=int(line),
                spool=RUN / "spool",
            )
        )
        program = str(Path(sys.executable).with_name("lumbar-node"))
        serve = [program, "serve", "--config", str(config)]
        with running(serve, RUN / "node.log") as node:
            wait_for_echo(node, port)
            say(f"==> node LUMBAR_AI on 127.0.0.1:{port}")
            say(f"    page for operators, while it runs: http://127.0.0.1:{page_port}/")
            send(series, port)
            say(f"==> {len(series)} instances sent by C-STORE; waiting for the results")
            objects = wait_for_results(node, RUN / "archive")
            show(objects, dcmread(series[0], stop_before_pixels=True))
    say(f"\ndone in {time.monotonic() - started:.0f} s")


def main() -> int:
    """Play the demo; 0 if everything came back, else 1."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        play()
    except DemoError as error:
        say(f"\ndemo failed: {error}")
        log = RUN / "node.log"
        if log.is_file():
            say(f"last lines of {log}:")
            for line in log.read_text().splitlines()[-15:]:
                say(f"    {line}")
        return 1
    except KeyboardInterrupt:
        say("\nstopped")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

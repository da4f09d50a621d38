"""Instances per second onto the disk: the node beside Orthanc, DCMTK and pynetdicom.

`python -m tests.benchmarks.ingest [--folder FOLDER] [--write]` sends the same new
instances to each receiver in turn, from 1, 4 and 16 DCMTK `dcmsend` processes, and
prints a Markdown table of rates; `--write` puts it into docs/benchmarks.md. All peers
run with TCP_NODELAY=1, without which DCMTK stalls 44 ms an instance. The folder must be
on a real disk, since the time of fsync is what is measured.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from tests.support import receivers
from tests.support.dicom_files import mr_instance
from tests.support.peers import DCMTK_ENVIRONMENT, HOST

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "docs" / "benchmarks.md"
HEADING = "## Ingest"

RECEIVERS: dict[str, receivers.Receiver] = {
    "lumbar-node": receivers.lumbar_node,
    "Orthanc": receivers.orthanc,
    "storescp (no fsync)": receivers.storescp,
    "pynetdicom": receivers.pynetdicom,
}
SIZES = {512: 800, 256: 2000}
"""Rows and columns of an instance of 16 bit, and how many are sent."""

SENDERS = (1, 4, 16)
_SERIES = 8

Cell = tuple[int, int]
"""Rows of an instance, number of senders."""


class Instances:
    """Files that differ in their UIDs each time, so that nobody has them already."""

    def __init__(self, size: int) -> None:
        template = mr_instance(size=size)
        self._uids = [
            str(template[keyword].value).encode()
            for keyword in ("SOPInstanceUID", "SeriesInstanceUID")
        ]
        with tempfile.NamedTemporaryFile() as file:
            template.save_as(file.name, enforce_file_format=True)
            self._content = Path(file.name).read_bytes()

    def write(self, folder: Path, count: int, round_number: int) -> list[Path]:
        """Write `count` instances of `_SERIES` series."""
        folder.mkdir(parents=True)
        paths = []
        for number in range(count):
            content = self._content
            for uid, part in zip(self._uids, (number, number % _SERIES), strict=True):
                own = f"2.25.1{round_number:08d}{part:08d}".encode()
                content = content.replace(uid, own.ljust(len(uid), b"1"))
            path = folder / f"{number:05d}.dcm"
            path.write_bytes(content)
            paths.append(path)
        return paths


def rate(paths: list[Path], port: int, senders: int) -> float:
    """Send the files from so many processes at once and return instances/s."""
    os.sync()  # what the last receiver left in memory must not be written now
    command = ["dcmsend", "--max-send-pdu", str(receivers.PDU_BYTES)]
    command += ["-aet", "PACS", "-aec", "LUMBAR_AI", HOST, str(port)]
    start_s = time.perf_counter()
    running = [
        subprocess.Popen(
            [*command, *map(str, paths[index::senders])],
            env=DCMTK_ENVIRONMENT,
            stdout=subprocess.DEVNULL,
        )
        for index in range(senders)
    ]
    if any(process.wait() for process in running):
        sys.exit("a sender failed: nothing is measured")
    return len(paths) / (time.perf_counter() - start_s)


def measure(folder: Path, repeats: int) -> dict[Cell, dict[str, list[float]]]:
    """Return the rates of each receiver in each cell, one a repeat."""
    rates: dict[Cell, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with ExitStack() as stack:
        ports = {
            name: stack.enter_context(receiver(folder / name.split()[0]))
            for name, receiver in RECEIVERS.items()
        }
        for round_number, (repeat, size, senders) in enumerate(
            (repeat, size, senders)
            for repeat in range(repeats)
            for size in SIZES
            for senders in SENDERS
        ):
            paths = Instances(size).write(folder / "out", SIZES[size], round_number)
            for name in rotated(list(ports), repeat):
                found = rate(paths, ports[name], senders)
                rates[size, senders][name].append(found)
            shutil.rmtree(folder / "out")
    return rates


def paired_ratio(row: dict[str, list[float]]) -> float:
    """Return the median of our rate to Orthanc's in the same repeat."""
    return statistics.median(
        ours / theirs
        for ours, theirs in zip(row["lumbar-node"], row["Orthanc"], strict=True)
    )


def rotated(names: list[str], by: int) -> list[str]:
    """Return the names in another order for each repeat."""
    by %= len(names)
    return names[by:] + names[:by]


def report(rates: dict[Cell, dict[str, list[float]]], repeats: int) -> str:
    """Return the section of docs/benchmarks.md."""
    names = list(RECEIVERS)
    lines = [
        HEADING,
        "",
        "`python -m tests.benchmarks.ingest --write`. Instances per second from DCMTK",
        "`dcmsend` to the disk, all peers with `TCP_NODELAY=1`, each cell the median",
        f"of {repeats} runs, receivers in turn, new instances in each. The ratio is",
        "the median of the ratios within a run. lumbar-node, Orthanc and pynetdicom",
        "answer after fsync; storescp does not sync at all. Machine:",
        f"{platform.machine()}, {os.cpu_count()} cores, ext4, Python",
        f"{platform.python_version()}; mean load {os.getloadavg()[2]:.1f}, other work",
        "included, so read the ratios.",
        "",
        "| instance | senders | " + " | ".join(names) + " | lumbar-node / Orthanc |",
        "| --- | --- |" + " --- |" * (len(names) + 1),
    ]
    for (size, senders), row in rates.items():
        ratio = paired_ratio(row)
        found = " | ".join(f"{statistics.median(row[name]):.0f}" for name in names)
        lines.append(f"| {size} x {size} | {senders} | {found} | {ratio:.2f} |")
    return "\n".join([*lines, ""])


def write_section(section: str) -> None:
    """Replace our section of docs/benchmarks.md, or add it."""
    text = REPORT.read_text() if REPORT.exists() else "# Benchmarks\n"
    before, _, rest = text.partition(HEADING)
    _, mark, after = rest.partition("\n## ")
    REPORT.write_text(
        before.rstrip() + "\n\n" + section + (mark + after if mark else "")
    )


def main() -> None:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rates = measure(Path(folder), arguments.repeats)
    section = report(rates, arguments.repeats)
    sys.stdout.write(section)
    if arguments.write:
        write_section(section)


if __name__ == "__main__":
    main()

"""`python -m tests.chaos.outage --minutes M`: nobody is there to whom a node sends.

An archive, a DICOMweb service, a FHIR server, a receiver of HL7 v2 and the repository
of audit messages are away while a series comes every few minutes. Then all are there,
and each has to get every result and report once, and the audit messages of a transfer.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import generate_uid
from tqdm import tqdm

from tests.support import phantom_plugin, variants
from tests.support.certificates import authority, signed
from tests.support.fhir_server import FhirServer
from tests.support.hl7_receiver import Hl7Receiver, acknowledging, control_id_of
from tests.support.node_process import Node, node_for
from tests.support.peers import HOST, Archive, free_port, send, wait_until
from tests.support.rsyslog import Rsyslog
from tests.support.variants import Series, fresh, saying
from tests.support.web_archive import REFERENCED, Asked, WebArchive, named

_SERIES = Path(__file__).resolve().parents[2] / "deploy" / "demo" / "series"
_TRANSFERRED = "110104"
_SLACK_S = 120.0
_TICK_S = 5.0


@dataclass(frozen=True)
class Receivers:
    """Whoever gets something from the node."""

    pacs: Archive
    cloud: WebArchive
    his: FhirServer
    ris: Hl7Receiver
    repository: Rsyslog


def main(arguments: Sequence[str]) -> int:
    """Run, write the table, and return 1 if anything was lost or came twice."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos.outage", description=__doc__
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="of the outage")
    parser.add_argument("--every", type=float, default=5.0, help="minutes to a series")
    parser.add_argument(
        "--longest", type=float, default=900.0, help="jobs.retry_longest_s"
    )
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lumbar-node-outage-") as folder:
        receivers = _receivers(Path(folder))
        node = _node(Path(folder), receivers, longest_s=chosen.longest)
        with node:
            sent = _send_for(node, chosen.minutes * 60, chosen.every * 60)
            waited = len(list((Path(folder) / "spool" / "audit").iterdir()))
            with ExitStack() as stack:
                begun_s = time.monotonic()
                for one in vars(receivers).values():
                    stack.enter_context(one)
                within_s = chosen.longest + _SLACK_S
                wait_until(
                    lambda: node.settled(len(sent)), within_s=within_s, what="all end"
                )
                took_s = time.monotonic() - begun_s
                jobs = node.jobs()
                wait_until(
                    lambda: _told(receivers.repository, sent) >= _owed(sent),
                    what="all audit messages come",
                )
            rows = {
                "minutes away": f"{chosen.minutes:g}",
                "series": str(len(sent)),
                "jobs": _counted(job["state"] for job in jobs),
                "audit messages that waited": str(waited),
                "s until the last delivery": f"{took_s:.0f}",
            }
            faults = _faults(receivers, sent)
    for name, value in {**rows, "faults": "; ".join(faults) or "none"}.items():
        sys.stdout.write(f"| {name} | {value} |\n")
    is_clean = not faults and {job["state"] for job in jobs} == {"done"}
    return 0 if is_clean and len(jobs) == len(sent) else 1


def _receivers(folder: Path) -> Receivers:
    by = authority(folder)
    repository = Rsyslog(
        folder / "rsyslog", by.certificate, signed(folder, "server", by)
    )
    repository.port = free_port()

    def stored(asked: Asked) -> None:
        asked.reply(200, named(REFERENCED, asked.uid))

    return Receivers(
        pacs=Archive(port=free_port()),
        cloud=WebArchive(stored, port=free_port()),
        his=FhirServer(port=free_port()),
        ris=Hl7Receiver(acknowledging("AA"), port=free_port()),
        repository=repository,
    )


def _node(folder: Path, receivers: Receivers, *, longest_s: float) -> Node:
    node = node_for(
        folder,
        receivers.pacs,
        analysis=phantom_plugin.NAME,
        environment=phantom_plugin.make_installed(folder / "installed"),
    )
    settings = node.settings
    cloud = f"http://{HOST}:{receivers.cloud.port}/dicom-web"
    his = f"http://{HOST}:{receivers.his.port}/fhir"
    settings["web_peers"] = {"cloud": {"url": cloud}}
    settings["fhir_peers"] = {"his": {"url": his}}
    settings["hl7_peers"] = {"ris": {"host": HOST, "port": receivers.ris.port}}
    settings["routes"][0]["deliver_to"] = ["pacs", "cloud", "his", "ris"]
    settings["jobs"] = {"retry_longest_s": longest_s}
    settings["audit"] = {
        "host": HOST,
        "port": receivers.repository.port,
        "tls": {"ca_file": str(receivers.repository.authority)},
    }
    return node


def _send_for(node: Node, seconds: float, every_s: float) -> list[Series]:
    little = variants.small(variants.read_bundled(_SERIES))
    sent: list[Series] = []
    begun_s = time.monotonic()
    with tqdm(total=round(seconds), unit="s", desc="away") as bar:
        while (past_s := time.monotonic() - begun_s) < seconds:
            if past_s >= len(sent) * every_s:
                sent.append(fresh(little, saying(StudyInstanceUID=generate_uid())))
                send(sent[-1], node.port)
            bar.update(round(past_s) - bar.n)
            time.sleep(_TICK_S)
    return sent


def _owed(sent: Sequence[Series]) -> int:
    """Each series is told once as received, and once for each archive that got it."""
    return 3 * len(sent)


def _told(repository: Rsyslog, sent: Iterable[Series]) -> int:
    """Return how many messages tell of the transfer of one of the series."""
    studies = {str(series[0].StudyInstanceUID) for series in sent}
    return sum(
        message.event == _TRANSFERRED
        and bool(studies & set(message.values("//@ParticipantObjectID")))
        for message in repository.messages()
    )


def _faults(receivers: Receivers, sent: Sequence[Series]) -> list[str]:
    """Return what is missing, or came twice, by who should have it once."""
    faults = []
    cloud = Counter(one.uid for one in receivers.cloud.asked)
    pacs: Counter[str] = Counter()
    for series in sent:
        results = [str(one.SOPInstanceUID) for one in receivers.pacs.results_of(series)]
        pacs.update(results)
        if not results:
            faults.append("a series without results in the archive")
    if set(cloud) != set(pacs):
        faults.append("the archive and the DICOMweb service hold not the same")
    ris = Counter(control_id_of(message) for message in receivers.ris.messages)
    his = Counter(
        str(bundle["entry"][0]["fullUrl"]) for bundle in receivers.his.bundles
    )
    for name, counted in {"ris": ris, "his": his}.items():
        if len(counted) != len(sent):
            faults.append(f"{name} has {len(counted)} reports of {len(sent)}")
    for name, counted in {"pacs": pacs, "cloud": cloud, "ris": ris, "his": his}.items():
        twice = sum(times > 1 for times in counted.values())
        if twice:
            faults.append(f"{name} was sent {twice} twice")
    return faults


def _counted(words: Iterable[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in Counter(words).items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The report in several versions of OHIF: `make viewers`, for docs/viewers.md.

Each version opens the same study over the same PACS. What it draws and writes is
compared with what was sent, and with outlines that are flipped and names of other
structures, which must fail.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from analysis.contract.plugin import Writing
from analysis.contract.result import Finding
from dicom_node.encode.result_context import ROLES, EncodeRequest
from dicom_node.plugins.analyse_series import Analysed, analyse_series
from dicom_node.plugins.registry import Registry, installed
from dicom_node.work.encode import encode_series
from tests.support.browser import Browser
from tests.support.encoded import REQUEST
from tests.support.ohif import Ohif
from tests.support.ohif_page import Label, OhifPage
from tests.support.orthanc import Orthanc
from tests.support.overlay import in_patient
from tests.support.peers import free_port, run_dcmtk

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "deploy/demo/series"
VERSIONS = ("3.11.1", "3.12.10", "3.13.2")
CASES = (("en", "all"), ("zh-CN", "all"), ("en", "main"))
"""Language and numbers of the report."""
SAME_LINE_PX = 2.0
BEGIN, END = "<!-- made by make viewers -->", "<!-- end -->"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What one version shows of one report."""

    version: str
    language: str
    numbers: str
    outlines: tuple[int, int]
    names: tuple[int, int]
    lines: int
    black: bool
    fooled: bool

    @property
    def row(self) -> str:
        """As a row of the table."""
        if self.black:
            return self._row("**black viewport**", "", "")
        outlines, names = (f"{a} of {b}" for a, b in (self.outlines, self.names))
        return self._row(outlines, names, str(self.lines))

    def _row(self, *cells: str) -> str:
        first = (f"OHIF {self.version}", self.language, self.numbers)
        return f"| {' | '.join((*first, *cells))} |"


@contextmanager
def pacs(analysed: Analysed, request: EncodeRequest) -> Iterator[Orthanc]:
    """Serve the bundled study with its results."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = folder / "results"
        results.mkdir()
        for encoded in encode_series(analysed, request):
            path = results / f"{encoded.name}.dcm"
            encoded.dataset.save_as(path, enforce_file_format=True)
        with Orthanc(
            folder=folder / "orthanc",
            node_port=free_port(),
            routes_nothing=True,
            answers_dicom_web=True,
        ) as orthanc:
            for sent in (DEMO, results):
                done = run_dcmtk(
                    "dcmsend", "-aec", "TESTPACS", "+sd", "+r", "127.0.0.1",
                    str(orthanc.dicom_port), str(sent),
                )  # fmt: skip
                if done.returncode != 0:
                    raise RuntimeError(done.stderr)
            yield orthanc


def look(
    version: str, orthanc: Orthanc, analysed: Analysed, case: EncodeRequest
) -> Shown:
    """Open the report in one version, and compare what is seen with what was sent."""
    pictures = ROOT / "build/artefacts/viewers"
    address = f"http://127.0.0.1:{orthanc.http_port}"
    with (
        Ohif(files=ROOT / "build/viewers" / version, pacs=address) as ohif,
        Browser(modules=ROOT / "build/npm/node_modules", failures=pictures) as browser,
    ):
        page = OhifPage(browser, ohif.origin)
        page.open_study(
            str(analysed.decoded.sources[0].StudyInstanceUID), 1 + len(ROLES)
        )
        page.open_series(case.number_of("sr") + 10 * 4)
        try:
            labels, is_black = page.labels(), False
        except Exception as error:  # noqa: BLE001 - whatever the page answers
            sys.stderr.write(f"{error}\n")
            labels, is_black = [], True
        name = f"{version}-{case.language}-{case.report_numbers}.png"
        page.picture(pictures / name)
        return compared(version, page, analysed, case, labels, is_black=is_black)


def compared(
    version: str,
    page: OhifPage,
    analysed: Analysed,
    case: EncodeRequest,
    labels: list[Label],
    *,
    is_black: bool,
) -> Shown:
    """Return how many outlines and names are where they belong."""
    drawn = [] if is_black else page.outlines()
    here = [] if is_black else list(on_shown_slice(page, analysed))
    places = {
        finding.label: page.place_of(in_patient(image, outline).tolist())
        for finding, image, outline in here
    }
    flipped = {
        label: np.stack([2 * place[:, 0].mean() - place[:, 0], place[:, 1]], axis=1)
        for label, place in places.items()
    }
    names = {finding.label: finding.site.meaning for finding, _, _ in here}
    found = named(labels, names, places)
    others = dict(zip(names, reversed(list(names.values())), strict=True))
    return Shown(
        version=version,
        language=case.language,
        numbers=case.report_numbers,
        outlines=(matched(places, drawn), len(places)),
        names=(found, len(names)),
        lines=max((len(label.lines) for label in labels), default=0),
        black=is_black,
        fooled=not is_black
        and (matched(flipped, drawn) > 0 or named(labels, others, places) > 1),
    )


def on_shown_slice(
    page: OhifPage, analysed: Analysed
) -> Iterator[tuple[Finding, Dataset, NDArray[np.float64]]]:
    """Yield the findings with numbers whose outline lies on the image that is shown."""
    shown = page.shown_image()
    for finding in analysed.result.findings:
        if finding.outline is None or not finding.measurements:
            continue
        image = analysed.decoded.sources[finding.outline.slice_index]
        if f"/instances/{image.SOPInstanceUID}/" in shown:
            yield finding, image, finding.outline.points


def matched(
    places: dict[str, NDArray[np.float64]], drawn: list[NDArray[np.float64]]
) -> int:
    """Return how many outlines are drawn where they belong."""
    return sum(
        any(
            len(place) == len(line) and np.abs(place - line).max() < SAME_LINE_PX
            for line in drawn
        )
        for place in places.values()
    )


def named(
    labels: list[Label], names: dict[str, str], places: dict[str, NDArray[np.float64]]
) -> int:
    """Return how many structures are named, of those that are named in their order.

    Texts stand to the right of their outlines or below them, in other versions at other
    heights, yet one below the other as the structures are.
    """
    found = 0
    for is_disc in (True, False):
        order = sorted(
            (key for key in names if key.endswith("disc") is is_disc),
            key=lambda key: float(places[key][:, 1].mean()),
        )
        tops = {
            key: label.top
            for key in order
            for label in labels
            if label.lines[0].startswith(names[key])
        }
        told = sorted(tops, key=lambda key: tops[key])
        found += len(told) if told == [key for key in order if key in tops] else 0
    return found


def main() -> int:
    """Look at all cases in all versions, and write the table into a document."""
    plugin = Registry(installed()).get("lumbar-mri")
    paths = sorted(DEMO.rglob("*.dcm"))
    shown: list[Shown] = []
    for language, numbers in CASES:
        analysed = analyse_series(
            paths, plugin, threads=2, writing=Writing(language=language)
        )
        case = replace(
            REQUEST, objects=ROLES, language=language, report_numbers=numbers
        )
        with pacs(analysed, case) as orthanc:
            for version in VERSIONS:
                shown.append(look(version, orthanc, analysed, case))
                sys.stdout.write(f"{shown[-1].row}\n")
    rows = "\n".join(
        one.row for one in sorted(shown, key=lambda one: (one.version, one.numbers))
    )
    table = (
        "| viewer | `language` | `report_numbers` | outlines at their place | names in "
        f"their order | lines of a text |\n|---|---|---|---|---|---|\n{rows}"
    )
    document = Path(sys.argv[1])
    text = document.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    document.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", "utf-8")
    return 1 if any(one.fooled for one in shown) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Validate every object of every case of ../shared/data, on grids of four kinds.

Run as `nice -n 10 python -m tests.conformance.every_case docs/conformance-cases.md`
from the root of the project, or `make validate`; it takes an hour or two. Each row is
kept in build/conformance-cases.jsonl as soon as it is made, and is not made again
unless the file is removed. Ends with 1 if a validator finds an error, or warns of
something that docs/conformance.md does not explain.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from tqdm import tqdm

from analysis.contract.errors import UnsuitableInput
from dicom_node.decode.headers import read_headers
from dicom_node.decode.suitable_series import reject, summarise
from dicom_node.encode.result_context import ROLES, EncodeRequest
from dicom_node.errors import SeriesRejectedError
from dicom_node.plugins.analyse_series import Analysed, analyse_series
from dicom_node.plugins.choose_route import choose
from dicom_node.plugins.registry import Registry, installed
from dicom_node.settings.sections import Route
from dicom_node.work.encode import encode_series
from tests.conftest import ROOT, SHARED_DATA
from tests.support.dicom3tools import documented, errors_in, said, warnings_in
from tests.support.encoded import REQUEST
from tests.support.mr_series import write_series
from tests.support.shared_cases import GRIDS, STRAIGHT, SharedCase, shared_cases

KEPT = ROOT / "build" / "conformance-cases.jsonl"
STATEMENT = ROOT / "docs" / "conformance.md"
ROUTES = [Route(name="lumbar", deliver_to=["pacs"])]
REQUESTS = (
    replace(REQUEST, objects=ROLES),
    replace(REQUEST, job_id="rle", segmentation="labelmap-rle", objects=("seg", "sr")),
    replace(REQUEST, job_id="map", segmentation="labelmap", objects=("seg", "sr")),
)
"""All kinds of object, then the report beside each other kind of segmentation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What came of one case on one grid.

    Parameters
    ----------
    refused
        Code and text; empty if it was measured.
    objects
        How many of each kind were made.
    errors
        Object and line of the validator.
    warnings
        Program and warning, without place and value, as docs/conformance.md has them.
    frames
        Of the BINARY segmentation.
    """

    case: str
    grid: str
    refused: str = ""
    objects: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    frames: int = 0


class Bench:
    """Takes one case after the other through the pipeline and the validators."""

    def __init__(self) -> None:
        self._registry = Registry(installed())

    def row(self, case: SharedCase, grid: str) -> Row:
        """Take one case through on one grid."""
        with tempfile.TemporaryDirectory() as folder:
            paths = write_series(Path(folder) / "source", GRIDS[grid](case.series()))
            return self._row(Row(case=case.name, grid=grid), paths)

    def _row(self, row: Row, paths: Sequence[Path]) -> Row:
        headers = read_headers(paths)
        refused = reject(headers)
        refused = (
            refused or choose(summarise(headers), ROUTES, self._registry).rejection
        )
        if refused is not None:
            return replace(row, refused=": ".join(refused))
        plugin = self._registry.get(ROUTES[0].analysis)
        try:
            analysed = analyse_series(paths, plugin, threads=1)
        except UnsuitableInput as error:
            return replace(row, refused=f"{error.code}: {error.text}")
        except SeriesRejectedError as error:
            return replace(row, refused=f"{error.reason}: {error.text}")
        return _validated(row, paths, analysed)


def _validated(row: Row, source: Sequence[Path], analysed: Analysed) -> Row:
    written: list[Path] = []
    errors: list[str] = []
    warnings: set[tuple[str, str]] = set()
    kinds: Counter[str] = Counter()
    frames = 0
    for request in REQUESTS if row.grid == STRAIGHT else REQUESTS[:2]:
        for path, role, count in _written(source[0].parent.parent, analysed, request):
            written.append(path)
            kinds[role] += 1
            if role == "seg binary":
                frames = max(frames, count)
            lines = said("dciodvfy", path)
            errors += [f"{path.stem}: {line}" for line in errors_in(lines)]
            warnings.update(warnings_in("dciodvfy", lines))
    lines = said("dcentvfy", *source, *written)
    errors += errors_in(lines)
    warnings.update(warnings_in("dcentvfy", lines))
    return replace(
        row,
        objects=dict(kinds),
        errors=errors,
        warnings=sorted(warnings),
        frames=frames,
    )


def _written(
    folder: Path, analysed: Analysed, request: EncodeRequest
) -> Iterator[tuple[Path, str, int]]:
    """Write the objects of one request; yield path, role and number of frames."""
    for encoded in encode_series(analysed, request):
        path = folder / f"{request.job_id}-{encoded.name}.dcm"
        encoded.dataset.save_as(path, enforce_file_format=True)
        role = encoded.name.partition("_")[0]
        if role == "seg":
            role = f"seg {request.segmentation}"
        yield path, role, int(encoded.dataset.get("NumberOfFrames", 0))


def kept_rows() -> list[Row]:
    """Return the rows of earlier runs."""
    if not KEPT.exists():
        return []
    rows = [json.loads(line) for line in KEPT.read_text().splitlines()]
    return [
        Row(**{**row, "warnings": [(one, other) for one, other in row["warnings"]]})
        for row in rows
    ]


def document(rows: Sequence[Row], explained: Iterable[tuple[str, str]]) -> str:
    """Return the result as Markdown."""
    measured = [row for row in rows if not row.refused]
    objects: Counter[str] = Counter()
    for row in measured:
        objects.update(row.objects)
    warned = Counter(warning for row in measured for warning in row.warnings)
    known = set(explained)
    lines = [
        "# Every case, validated",
        "",
        "Made by `make validate` (`tests/conformance/every_case.py`), which takes the "
        "cases of ../shared/data through decoding,",
        "analysis and encoding, and each object through `dciodvfy` and each case "
        "through `dcentvfy` (dicom3tools 20260927).",
        "Cases that are no DICOM get headers of their own first. Grids: *straight* as "
        "the case lies; *oblique*, the patient",
        "turned by 12 and 8 degrees; *reversed*, columns to the front and instances "
        "counted back; *enhanced*, one multi-frame",
        "instance with its frames out of order. A case that is refused as it lies is "
        "not tried on the others. Kinds: all, with a",
        "BINARY SEG; SEG as RLE label map and its SR; on the straight grid the same as "
        "plain label map.",
        "",
        f"{len({row.case for row in rows})} cases, of which "
        f"{len({row.case for row in measured})} are measured; "
        f"{len(measured)} series, {objects.total()} objects: "
        + ", ".join(f"{count} {kind}" for kind, count in sorted(objects.items()))
        + ".",
        "",
        f"**Errors: {sum(len(row.errors) for row in measured)}.** Most frames in one "
        f"BINARY SEG: {max((row.frames for row in measured), default=0)}.",
        "",
        "| Program | Warning | Series | Explained |",
        "| --- | --- | --- | --- |",
        *(
            f"| {program} | `{text}` | {count} | "
            f"{'conformance.md 8' if (program, text) in known else '**no**'} |"
            for (program, text), count in sorted(warned.items())
        ),
        "",
        "| Case | " + " | ".join(GRIDS) + " |",
        "| --- |" + " --- |" * len(GRIDS),
        *_case_lines(rows),
        "",
        "A cell: objects, errors, kinds of warning; a dash: not run yet. A refused "
        "case: why.",
        "",
    ]
    return "\n".join(lines)


def _case_lines(rows: Sequence[Row]) -> Iterator[str]:
    cells = {(row.case, row.grid): _cell(row) for row in rows}
    for case in dict.fromkeys(row.case for row in rows):
        said = [cells.get((case, grid), "-") for grid in GRIDS]
        yield f"| {case} | {' | '.join(said)} |"


def _cell(row: Row) -> str:
    if row.refused:
        return f"refused, {row.refused}"
    return f"{sum(row.objects.values())}, {len(row.errors)}, {len(row.warnings)}"


def missing_rows(cases: Sequence[SharedCase], rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the rows that are not there yet.

    All cases come as they lie, then each on one other grid, and so on. A case that is
    refused as it lies is not tried on the others.
    """
    bench = Bench()
    made = {(row.case, row.grid) for row in rows}
    refused = {row.case for row in rows if row.refused}
    wanted = [(case, STRAIGHT) for case in cases]
    others = [grid for grid in GRIDS if grid != STRAIGHT]
    wanted += [
        (case, others[(turn + number) % len(others)])
        for turn in range(len(others))
        for number, case in enumerate(cases)
    ]
    for case, grid in tqdm(wanted, unit="series"):
        if case.name in refused or (case.name, grid) in made:
            continue
        row = bench.row(case, grid)
        if row.refused:
            refused.add(row.case)
        yield row


def main() -> int:
    """Make the rows that are missing, and write the document named as argument."""
    KEPT.parent.mkdir(exist_ok=True)
    rows = kept_rows()
    with KEPT.open("a") as kept:
        for row in missing_rows(shared_cases(SHARED_DATA), tuple(rows)):
            rows.append(row)
            kept.write(json.dumps(asdict(row)) + "\n")
            kept.flush()
            for error in row.errors:
                tqdm.write(f"{row.case} {row.grid}: {error}")
    explained = documented(STATEMENT.read_text(encoding="utf-8"))
    Path(sys.argv[1]).write_text(document(rows, explained), encoding="utf-8")
    unexplained = {warning for row in rows for warning in row.warnings} - explained
    for program, text in sorted(unexplained):
        tqdm.write(f"not explained: {program}: {text}")
    return int(bool(unexplained) or any(row.errors for row in rows))


if __name__ == "__main__":
    sys.exit(main())

"""`jobs export`: the measurements of many series as one CSV table, a row a disc."""

from __future__ import annotations

import csv
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from dicom_node.records import JobRow
from dicom_node.spool_layout import REPORT, SpoolLayout

_KEY_BYTES = 32
_PSEUDONYM_DIGITS = 16
_UNCERTAINTY = "uncertainty"
_LEVELS = ("levels", "upper_levels")
_FIRST = (
    "study", "series", "accepted", "corrected", "analysis_version", "level",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """How much a table holds.

    Parameters
    ----------
    series
        Of which there are rows.
    without_report
        Jobs whose results were removed, or that have none.
    """

    rows: int
    series: int
    without_report: int


class Pseudonyms:
    """Stands for UIDs by a secret of this node: the same in each of its exports.

    Parameters
    ----------
    path
        The secret; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        with suppress(FileExistsError):
            mode = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(path, mode, 0o600), "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
                if os.geteuid() == 0:
                    # The node's user backs it up, whoever made the first export.
                    folder = path.parent.stat()
                    os.fchown(file.fileno(), folder.st_uid, folder.st_gid)
        self._key = path.read_bytes()

    def of(self, uid: str) -> str:
        """Return what stands for a UID (HMAC-SHA256, RFC 2104)."""
        digest = hmac.new(self._key, uid.encode(), hashlib.sha256).hexdigest()
        return digest[:_PSEUDONYM_DIGITS]


def export(
    rows: Iterable[JobRow],
    layout: SpoolLayout,
    out: TextIO,
    *,
    pseudonyms: Pseudonyms | None = None,
) -> Exported:
    """Write one row a disc, of the last result of each series.

    Columns are `study`, `series`, `accepted`, `corrected` (whether a reader had edited
    the outlines), `analysis_version`, `level`, then the values of `report.json` under
    its keys, with `KEY_uncertainty` beside those that have one. What was not measured
    is empty. No patient data are in it.

    Parameters
    ----------
    rows
        The jobs that are asked for, those accepted last first.
    pseudonyms
        Stand for UIDs, and the time of acceptance is left out; None writes both.
    """
    table: list[dict[str, Any]] = []
    seen: set[tuple[str, str]] = set()
    without_report = 0
    for row in rows:
        measured = (row.study_uid, row.corrects or row.series_uid)
        if measured in seen:
            continue
        report = _report(layout.job_outbox(row.id) / REPORT)
        if report is None:
            without_report += 1
            continue
        seen.add(measured)
        table += _lines(row, report, pseudonyms)
    columns = dict.fromkeys([*_FIRST, *(name for line in table for name in line)])
    if pseudonyms is not None:
        del columns["accepted"]
    writer = csv.DictWriter(out, list(columns), extrasaction="ignore")
    writer.writeheader()
    writer.writerows(table)
    return Exported(rows=len(table), series=len(seen), without_report=without_report)


def _report(path: Path) -> Mapping[str, Any] | None:
    """Return the report of a series that was measured, if it is still there."""
    try:
        report: Mapping[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return report if report.get("status") == "measured" else None


def _lines(
    row: JobRow, report: Mapping[str, Any], pseudonyms: Pseudonyms | None
) -> Iterator[dict[str, Any]]:
    study, series = row.study_uid, row.corrects or row.series_uid
    if pseudonyms is not None:
        study, series = pseudonyms.of(study), pseudonyms.of(series)
    accepted = datetime.fromtimestamp(row.accepted_at_s).astimezone()
    for name in _LEVELS:
        for level in report.get(name) or ():
            yield {
                "study": study,
                "series": series,
                "accepted": accepted.isoformat(timespec="seconds"),
                "corrected": int(bool(row.corrects)),
                "analysis_version": report["analysis"]["version"],
                **_values(level),
            }


def _values(level: Mapping[str, Any]) -> dict[str, Any]:
    """Return the single values of a level, each with its uncertainty behind it."""
    known = level.get(_UNCERTAINTY) or {}
    values: dict[str, Any] = {}
    for key, value in level.items():
        if isinstance(value, (dict, list)):
            continue
        values[key] = value
        if key in known:
            values[f"{key}_{_UNCERTAINTY}"] = known[key]
    return values

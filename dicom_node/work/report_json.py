"""`report.json` and `overlay.png`: the result for programs and for the eye."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.contract.result import AnalysisResult, Notice, Page
from dicom_node.records import Reason
from dicom_node.spool_layout import write_durable

REPORT_VERSION = 1


def measured_report(
    result: AnalysisResult,
    *,
    series_uid: str,
    warnings: Sequence[Notice],
    corrected_uid: str | None = None,
) -> dict[str, Any]:
    """Return the report of a series that was measured.

    Parameters
    ----------
    warnings
        Those of the node; they go before those of the analysis.
    corrected_uid
        SOP Instance UID of the SEG whose outlines were measured; None where the
        network found them.
    """
    corrected = {} if corrected_uid is None else {"corrected_seg_uid": corrected_uid}
    provenance = result.provenance
    return {
        "version": REPORT_VERSION,
        "status": "measured",
        "series_uid": series_uid,
        **corrected,
        "analysis": {
            "name": provenance.name,
            "version": provenance.version,
            "weights_sha256": provenance.weights_sha256,
        },
        "warnings": _notices((*warnings, *result.warnings)),
        "report_text": dict(result.report_text),
        **result.details,
    }


def unsuitable_report(
    *, series_uid: str | None, reason: Reason, warnings: Sequence[Notice] = ()
) -> dict[str, Any]:
    """Return the report of a series that cannot be measured, with the reason."""
    return _without_result("unsuitable", series_uid, reason, warnings)


def failed_report(*, series_uid: str | None, reason: Reason) -> dict[str, Any]:
    """Return the report of a run that failed; the series is not to blame."""
    return _without_result("failed", series_uid, reason, ())


def _without_result(
    status: str,
    series_uid: str | None,
    reason: Reason,
    warnings: Sequence[Notice],
) -> dict[str, Any]:
    code, text = reason
    return {
        "version": REPORT_VERSION,
        "status": status,
        "series_uid": series_uid,
        "reason": code,
        "reason_text": text,
        "warnings": _notices(warnings),
        "levels": [],
    }


def _notices(warnings: Sequence[Notice]) -> list[dict[str, str]]:
    return [{"code": notice.code, "text": notice.text} for notice in warnings]


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write a report whole or not at all.

    Raises
    ------
    ValueError
        If a number is not finite: absence is null with its reason.
    """
    text = json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False)
    write_durable(path, (text + "\n").encode())


def write_overlay(path: Path, page: Page) -> None:
    """Write a page as PNG, whole or not at all."""
    from PIL import Image

    partial = path.with_name(f".{path.name}")
    Image.fromarray(page.pixels).save(partial, format="PNG", compress_level=1)
    partial.replace(path)

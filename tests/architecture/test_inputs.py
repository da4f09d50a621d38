"""Each code of an input is listed once, in the command and in the document."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dicom_node import errors
from dicom_node.cli.conformance import fill, input_tables
from dicom_node.decode.suitable_series import KIND_CODES
from dicom_node.failure_codes import FAILURES
from dicom_node.input_codes import REFUSALS, WARNINGS
from dicom_node.jobs.dead_worker import Cause
from dicom_node.jobs.proof_codes import NOT_COMMITTED, NOT_FOUND, NOT_REPORTED
from tests.support.sources import dotted, modules

JUDGES_OF_INPUTS = (
    "dicom_node.decode.",
    "dicom_node.encode.",
    "dicom_node.plugins.choose_route",
    "dicom_node.work.analyse_folder",
    "dicom_node.work.series_notices",
)
NOT_SPELT_OUT = {
    "missing_orientation", "missing_position", "not_magnitude", "not_sagittal", "not_t2"
}  # fmt: skip
"""Codes that no keyword and no return statement names."""


def codes_in(path: Path) -> Iterator[str]:
    """Yield codes that are given to errors and notices, or returned with a text."""
    for node in ast.walk(ast.parse(path.read_text())):
        values: list[ast.expr] = []
        if isinstance(node, ast.Call):
            values = [
                word.value for word in node.keywords if word.arg in ("reason", "code")
            ]
            if isinstance(node.func, ast.Name) and node.func.id == "Reason":
                values.extend(node.args[:1])
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            values = node.value.elts[:1]
        for value in values:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value


def test_every_code_of_an_input_is_listed_once_with_what_to_do() -> None:
    used = {*NOT_SPELT_OUT, *KIND_CODES.values()}
    for path in modules():
        if dotted(path).startswith(JUDGES_OF_INPUTS):
            used.update(codes_in(path))
    listed = Counter(one.code for one in (*WARNINGS, *REFUSALS))
    assert set(listed) == used
    assert set(listed.values()) == {1}
    assert all(one.what and one.advice for one in (*WARNINGS, *REFUSALS))


FAILS_NO_JOB = {
    "node-error", "settings-wrong", "instance-refused", "instance-mismatch",
    "series-rejected", "geometry", "pixel-data", "outlines-refused", "report-refused",
    "not-searchable", "job-not-found", "job-state", "nothing-to-send", "cannot-start",
    "backup-failed",
}  # fmt: skip
"""Errors of commands, of receiving, and those that make a rejection of a series."""


def test_every_code_of_a_failed_job_is_listed_once_with_what_to_do() -> None:
    used = {"internal_error", *(cause.value for cause in Cause)}
    used.update((NOT_COMMITTED, NOT_FOUND, NOT_REPORTED))
    for path in modules():
        if dotted(path) in {"dicom_node.work.job_steps", "dicom_node.work.deliver"}:
            used.update(codes_in(path))
    used.update(kind.code for kind in vars(errors).values() if _is_error(kind))
    listed = Counter(one.code for one in FAILURES)
    assert set(listed) == used - FAILS_NO_JOB
    assert used > FAILS_NO_JOB
    assert set(listed.values()) == {1}
    assert all(one.what and one.advice for one in FAILURES)


def _is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, errors.NodeError)


def test_the_document_has_the_tables_of_the_code(root: Path) -> None:
    document = (root / "docs" / "inputs.md").read_text(encoding="utf-8")
    assert document == fill(document, input_tables()), "run `make conformance`"

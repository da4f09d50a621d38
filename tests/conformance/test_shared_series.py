"""Real series, measured by the real analysis, make objects without an error.

`make validate` takes every case on every grid; here are two of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.every_case import Bench
from tests.conftest import SHARED_DATA
from tests.support.dicom3tools import documented
from tests.support.shared_cases import shared_cases

CHOSEN = (("rsna_100206310_sag_T2_STIR", "straight"), ("spider_005", "enhanced"))


@pytest.mark.shared
@pytest.mark.parametrize(("name", "grid"), CHOSEN)
def test_results_of_a_real_series_break_no_rule(
    root: Path, name: str, grid: str
) -> None:
    (case,) = (one for one in shared_cases(SHARED_DATA) if one.name == name)
    row = Bench().row(case, grid)
    assert row.refused == ""
    assert row.errors == []
    statement = (root / "docs" / "conformance.md").read_text(encoding="utf-8")
    assert set(row.warnings) <= documented(statement)
    kinds = {"seg binary", "seg labelmap-rle", "sr", "sc", "pdf", "gsps"}
    assert kinds <= set(row.objects)

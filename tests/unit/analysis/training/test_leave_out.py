"""Each source is left out in turn, and all else stays."""

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="TRAINING NOT TESTED: no extra `train`")
pytest.importorskip("SimpleITK", reason="TRAINING NOT TESTED: no extra `train`")

from analysis.training import settings as settings_of  # noqa: E402
from analysis.training.compare import Budget  # noqa: E402
from analysis.training.disc_batches import DiscBatches  # noqa: E402
from analysis.training.leave_out import (  # noqa: E402
    ALL,
    without_each,
    write_left_out,
)
from analysis.training.settings import read_settings  # noqa: E402
from tests.support.one_disc import disc_settings, one_disc, still  # noqa: E402


def test_one_source_is_not_drawn_from_and_nothing_else_changes() -> None:
    path = Path(settings_of.__file__).with_name("disc.yaml")
    settings = read_settings(path)
    found = without_each(settings, Budget(steps=40))
    names = [source.folder for source in settings.sources]
    assert list(found) == [ALL, *(f"without {name}" for name in names)]
    whole = found[ALL]
    assert whole.sources == settings.sources
    for name, less in zip(names, list(found.values())[1:], strict=True):
        assert {one.folder for one in less.sources if one.share == 0} == {name}
        assert replace(less, sources=whole.sources) == whole
    assert {one.training.start_from for one in found.values()} == {None}
    assert {one.training.steps for one in found.values()} == {40}


def test_a_source_without_a_share_is_never_drawn() -> None:
    case = one_disc()
    empty = replace(case, grey=case.grey * 0)
    settings = still(disc_settings())
    (source,) = settings.sources
    settings = replace(settings, sources=(source, replace(source, share=0.0)))
    batches = DiscBatches(settings, [[case], [empty]])
    for step in range(8):
        assert all(one.any() for one in batches.draw(step).grey)


def test_a_source_that_is_scored_alone_is_not_left_out() -> None:
    settings = disc_settings()
    (source,) = settings.sources
    others = [replace(source, folder=name) for name in ("a", "b")]
    scored = replace(source, folder="c", share=0.0)
    found = without_each(replace(settings, sources=(*others, scored)), Budget())
    assert list(found) == [ALL, "without a", "without b"]


def test_the_only_source_cannot_be_left_out() -> None:
    with pytest.raises(ValueError, match="one source"):
        without_each(disc_settings(), Budget())


def test_each_run_has_a_column(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.md"
    columns = {ALL: {"step": 9.0, "a disc": 0.9}, "without a": {"a disc": 0.7}}
    write_left_out(columns, ["a 7"], path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert "| | all sources | without a |" in lines
    assert "| a disc | 0.900 | 0.700 |" in lines


def test_one_source_alone_may_be_left_out() -> None:
    path = Path(settings_of.__file__).with_name("disc.yaml")
    settings = read_settings(path)
    found = without_each(settings, Budget(), ["fcs_ivd"])
    assert list(found) == [ALL, "without fcs_ivd"]
    with pytest.raises(ValueError, match="fcs_vb1"):
        without_each(settings, Budget(), ["fcs_vb1"])

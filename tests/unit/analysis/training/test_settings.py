"""One YAML file says everything that a training run depends on."""

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.training.settings import DEFAULT_SETTINGS, read_settings


def _changed(folder: Path, before: str, after: str) -> Path:
    text = DEFAULT_SETTINGS.read_text(encoding="utf-8")
    assert before in text
    path = folder / "changed.yaml"
    path.write_text(text.replace(before, after), encoding="utf-8")
    return path


def test_the_shipped_settings_are_complete() -> None:
    settings = read_settings()
    assert settings.name == "lumbar"
    assert settings.classes[0] == "background"
    assert settings.sources[0].validation


def test_a_misspelt_key_is_an_error(tmp_path: Path) -> None:
    path = _changed(tmp_path, "ema_decay", "ema_decoy")
    with pytest.raises(ValueError, match=r"training: missing \['ema_decay'\]"):
        read_settings(path)


def test_only_what_has_a_default_may_be_left_out(tmp_path: Path) -> None:
    assert read_settings().sources[1].s1_doubtful == ()
    path = _changed(tmp_path, "    s1_share: 0.5 ", "    # ")
    with pytest.raises(ValueError, match=r"sources: missing \['s1_share'\]"):
        read_settings(path)


def test_a_precision_that_no_run_has_is_refused(tmp_path: Path) -> None:
    assert read_settings().training.precision == "float32"
    path = _changed(tmp_path, "  batch: 6", "  precision: half\n  batch: 6")
    with pytest.raises(ValueError, match="'half'; known: float32, bfloat16"):
        read_settings(path)


def test_all_sources_are_learnt_from_as_in_the_base_line_but_for_what_is_new() -> None:
    whole, base = (
        read_settings(DEFAULT_SETTINGS.with_name(f"lumbar_{name}.yaml"))
        for name in ("all", "clean")
    )
    network = replace(base.network, architecture=whole.network.architecture)
    alike = replace(base, network=network, sources=whole.sources, version=whole.version)
    assert alike == whole
    assert whole.training.start_from is None
    scored = [
        {(one.folder, one.validation) for one in each.sources if one.validation}
        for each in (whole, base)
    ]
    assert scored[0] == scored[1]
    for folder in {source.folder for source in whole.sources}:
        spared = [
            {*one.validation, *one.held_out}
            for one in whole.sources
            if one.folder == folder
        ]
        assert all(one == spared[0] for one in spared)

"""Real series, measured by the real analysis, make objects without an error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dicom_node.encode.common import ROLES
from dicom_node.pipeline.registry import Registry, installed
from dicom_node.pipeline.run import analyse_series, encode_series
from tests.conftest import SHARED_DATA
from tests.support.dicom3tools import errors_of
from tests.support.encoded import REQUEST
from tests.support.mr_series import build_series, write_series
from tests.support.mr_sources import reheader_rsna, spider_volume

SOURCES = ("rsna_dicom/100206310/sag_T2_STIR_1792451510", "spider_t2space")


def written_source(name: str, folder: Path) -> list[Path]:
    source = SHARED_DATA / name
    if name.startswith("rsna"):
        return write_series(folder, reheader_rsna(source))
    patient = sorted(path for path in source.iterdir() if path.is_dir())[0]
    voxels, frame, _ = spider_volume(patient)
    return write_series(folder, build_series(voxels, frame))


@pytest.mark.shared
@pytest.mark.parametrize("name", SOURCES)
def test_results_of_a_real_series_break_no_rule(tmp_path: Path, name: str) -> None:
    paths = written_source(name, tmp_path / "source")
    plugin = Registry(installed()).get("lumbar-mri")
    analysed = analyse_series(paths, plugin, threads=2)
    made = []
    for encoded in encode_series(analysed, replace(REQUEST, objects=ROLES)):
        made.append(tmp_path / f"{encoded.name}.dcm")
        encoded.dataset.save_as(made[-1], enforce_file_format=True)
        assert errors_of("dciodvfy", made[-1]) == [], encoded.name
    assert {path.stem.split("_")[0] for path in made} == set(ROLES)
    assert errors_of("dcentvfy", *paths, *made) == []

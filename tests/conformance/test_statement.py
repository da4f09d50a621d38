"""The conformance statement says what the code does and what validators say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest

from dicom_node.cli.conformance import (
    OWN_ATTRIBUTES,
    conformance_tables,
    fill,
)
from dicom_node.decode.volume import read_volume
from dicom_node.dimse.result_classes import RESULT_CLASSES, classes_of
from dicom_node.encode.result_context import ROLES
from dicom_node.encode.result_objects import encode_result
from dicom_node.encode.source_attributes import STUDY_KEYWORDS
from tests.support.dicom3tools import documented, said, warnings_in
from tests.support.encoded import REQUEST, by_name, decoded_phantom
from tests.support.phantom_result import phantom_result
from tests.support.result_files import write_source

PATIENT = {"IssuerOfPatientID", "PatientAge", "PatientWeight"}
"""What the source has of the patient beside STUDY_KEYWORDS."""
CASES = (
    ("classic", "binary"),
    ("classic", "labelmap-rle"),
    ("enhanced", "binary"),
    ("careless", "binary"),
    ("stripped", "binary"),
)


@pytest.fixture(scope="module")
def document(root: Path) -> str:
    return (root / "docs" / "conformance.md").read_text(encoding="utf-8")


def test_its_tables_are_those_of_the_code(document: str) -> None:
    assert document == fill(document, conformance_tables()), "run `make conformance`"


def test_a_document_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="0 places"):
        fill("nothing", conformance_tables())


@pytest.mark.parametrize("kind", ["binary", "labelmap", "labelmap-rle"])
def test_results_are_of_the_classes_that_it_names(tmp_path: Path, kind: str) -> None:
    series, labels = decoded_phantom(tmp_path)
    request = replace(REQUEST, objects=ROLES, segmentation=kind)
    results = by_name(encode_result(phantom_result(labels), series, request))
    made = {name.split("_")[0]: dataset for name, dataset in results.items()}
    assert set(made) == {one.role for one in RESULT_CLASSES}
    for role, dataset in made.items():
        (expected,) = classes_of(role, kind)
        assert dataset.Modality == expected.modality
        assert dataset.SOPClassUID == expected.sop_class_uid
        assert dataset.file_meta.TransferSyntaxUID in expected.syntaxes


def test_results_have_the_attributes_of_their_own_that_it_names(
    tmp_path: Path,
) -> None:
    series, labels = decoded_phantom(tmp_path)
    in_zone = REQUEST.content_time.astimezone(UTC)
    request = replace(REQUEST, objects=ROLES, content_time=in_zone)
    results = by_name(encode_result(phantom_result(labels), series, request))
    in_all = set.intersection(*(set(dataset.dir()) for dataset in results.values()))
    own = in_all - {*STUDY_KEYWORDS, *PATIENT, "SOPClassUID"}
    assert own == set(OWN_ATTRIBUTES)


def _warnings(program: str, *paths: Path) -> Iterator[tuple[str, str]]:
    return warnings_in(program, said(program, *paths))


def test_it_explains_every_warning_of_the_validators_and_no_other(
    tmp_path: Path, document: str
) -> None:
    found: set[tuple[str, str]] = set()
    for number, (variant, kind) in enumerate(CASES):
        folder = tmp_path / str(number)
        source, labels = write_source(folder / "source", variant)
        request = replace(REQUEST, objects=ROLES, segmentation=kind)
        paths = []
        result = replace(phantom_result(labels), summary={"en": ("a", "b")})
        for encoded in encode_result(result, read_volume(source), request):
            paths.append(folder / f"{encoded.name}.dcm")
            encoded.dataset.save_as(paths[-1], enforce_file_format=True)
            found.update(_warnings("dciodvfy", paths[-1]))
        # It says one thing only of an attribute, so source and report come alone too.
        found.update(_warnings("dcentvfy", *source, paths[1]))
        found.update(_warnings("dcentvfy", *source, *paths))
    assert found == documented(document)

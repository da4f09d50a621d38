"""A PACS that routes a whole study: objects of all classes, made by other software."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    ExplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    MRSpectroscopyStorage,
    ParametricMapStorage,
    RawDataStorage,
    RTDoseStorage,
    RTStructureSetStorage,
    SurfaceSegmentationStorage,
    TwelveLeadECGWaveformStorage,
    generate_uid,
)

from dicom_node.encode.result_context import ROLES
from dicom_node.encode.result_objects import encode_result
from tests.support import phantom_plugin, variants
from tests.support.encoded import REQUEST, decoded_phantom
from tests.support.node_process import node_for
from tests.support.peers import Archive, send
from tests.support.phantom_result import phantom_result
from tests.support.variants import Series, fresh, saying

SUCCESS = 0x0000
PRIVATE_CLASS = UID("1.3.12.2.1107.5.9.1")
"""Siemens' CSA Non-Image Storage."""
WITHOUT_PICTURE = {
    "KO": KeyObjectSelectionDocumentStorage,
    "RTSTRUCT": RTStructureSetStorage,
    "text": BasicTextSRStorage,
    "raw": RawDataStorage,
    "spectroscopy": MRSpectroscopyStorage,
    "surfaces": SurfaceSegmentationStorage,
    "ECG": TwelveLeadECGWaveformStorage,
    "private": PRIVATE_CLASS,
}
WITH_PICTURE = {"dose": RTDoseStorage, "map": ParametricMapStorage}
MODALITIES = {"KO": "KO", "RTSTRUCT": "RTSTRUCT", "text": "SR", "surfaces": "SEG"}


def bare(
    sop_class: UID, modality: str, source: Dataset, **attributes: object
) -> Series:
    """Return an object with no more than patient, study, series and instance."""
    made = Dataset()
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID"):
        made[keyword] = source[keyword]
    made.SOPClassUID, made.Modality = sop_class, modality
    made.SOPInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
    made.Manufacturer = "Another Vendor"
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = sop_class
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return [made]


def results_of_others(folder: Path, source: Dataset) -> dict[str, Series]:
    """Return what another program makes that uses the same toolkit as we do."""
    series, labels = decoded_phantom(folder)
    request = replace(REQUEST, objects=ROLES)
    return {
        encoded.name: fresh(
            [encoded.dataset],
            saying(
                Manufacturer="Another Vendor",
                StudyInstanceUID=source.StudyInstanceUID,
                PatientID=source.PatientID,
            ),
        )
        for encoded in encode_result(phantom_result(labels), series, request)
    }


def objects_of_others(folder: Path, source: Dataset) -> dict[str, Series]:
    """Return objects of every kind, by what they are."""
    made = results_of_others(folder, source)
    for what, sop_class in WITHOUT_PICTURE.items():
        made[what] = bare(sop_class, MODALITIES.get(what, "MR"), source)
    for what, sop_class in WITH_PICTURE.items():
        made[what] = bare(sop_class, "MR", source, Rows=64, Columns=40)
    return made


def test_what_others_made_is_kept_out_with_a_reason_and_the_series_is_measured(
    tmp_path: Path, demo_series: Path
) -> None:
    good = fresh(variants.read_bundled(demo_series))
    others = objects_of_others(tmp_path / "phantom", good[0])
    sent = {what: str(made[0].SeriesInstanceUID) for what, made in others.items()}
    measured = str(good[0].SeriesInstanceUID)
    with Archive() as archive:
        node = node_for(
            tmp_path / "node",
            archive,
            analysis=phantom_plugin.NAME,
            environment=phantom_plugin.make_installed(tmp_path / "site"),
        )
        with node:
            every = [one for made in others.values() for one in made]
            both = [*every, *good]
            assert send(both, node.port) == [SUCCESS] * len(both)
            jobs = node.settled_series([measured, *sent.values()])
    assert jobs[measured]["state"] == "done"
    assert len(archive.received) == len(archive.results_of(good)) == 3
    for what, uid in sent.items():
        assert jobs[uid]["state"] == "rejected", what
        code, _, text = jobs[uid]["reason"].partition(": ")
        assert text, what
        if what in WITHOUT_PICTURE or what in {"sr", "pdf", "gsps_01"}:
            assert code == "not_an_image", what
        elif what != "seg":  # a SEG may be a reader's, so more is asked about it
            assert code == "not_mr", what

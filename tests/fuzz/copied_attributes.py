"""Headers with arbitrary bytes where results only copy: every result is made and valid.

`python -m tests.fuzz.copied_attributes --cases N --seed S` writes a series N times,
each with other attributes spoilt under another character set, analyses it with the
phantom, and holds every object of the result against `dciodvfy`. It prints each case
that cost a result or made one invalid, and ends with 1 if there was one.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom import Dataset, config
from pydicom.datadict import dictionary_VR
from tqdm import tqdm

from dicom_node.decode.headers import read_headers
from dicom_node.decode.suitable_series import reject
from dicom_node.encode.write_part10 import encode_file
from dicom_node.errors import EncodingError, SeriesRejectedError
from dicom_node.plugins.analyse_series import analyse_series
from dicom_node.work.encode import encode_series
from tests.support import odd_series, regrid, variants
from tests.support.dicom3tools import errors_of
from tests.support.encoded import REQUEST
from tests.support.phantom_plugin import PhantomMri
from tests.support.variants import Series

ROOT = Path(__file__).resolve().parents[2]
ALL_OBJECTS = ("seg", "sr", "sc", "pdf", "gsps")
_AT_ONCE = 8
_OTHER_VR_PART = 0.2

KEYWORDS = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate",
    "PatientBirthTime", "PatientSex", "PatientAge", "PatientSize", "PatientWeight",
    "OtherPatientIDs", "OtherPatientNames", "EthnicGroup", "PatientComments",
    "AccessionNumber", "StudyID", "StudyDate", "StudyTime", "StudyDescription",
    "ReferringPhysicianName", "NameOfPhysiciansReadingStudy", "Occupation",
    "AdmittingDiagnosesDescription", "AdditionalPatientHistory", "MedicalAlerts",
    "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber",
    "InstitutionName", "StationName", "BodyPartExamined", "PositionReferenceIndicator",
    "TimezoneOffsetFromUTC", "SeriesNumber", "InstanceNumber", "SpacingBetweenSlices",
    "SliceThickness", "PatientIdentityRemoved", "DeidentificationMethod",
    "DeidentificationMethodCodeSequence", "ProcedureCodeSequence",
    "ReferencedStudySequence", "OtherPatientIDsSequence", "RequestAttributesSequence",
    "ConsultingPhysicianName", "ClinicalTrialSponsorName", "ClinicalTrialProtocolID",
    "ClinicalTrialSubjectID", "ServiceEpisodeID", "PregnancyStatus", "SmokingStatus",
    "LongitudinalTemporalInformationModified", "LastMenstrualDate", "ReasonForVisit",
    "IssuerOfAccessionNumberSequence", "PatientPosition", "FrameOfReferenceUID",
    "Laterality", "PerformingPhysicianName", "OperatorsName", "ProtocolName",
    "IssuerOfPatientIDQualifiersSequence", "ReferringPhysicianIdentificationSequence",
)  # fmt: skip
CONTENTS = (
    b"", b" ", b"\0\0", b"\\", b"70 kg", b"1,5", b"A\\B\\C", b"x" * 70, b"y" * 1100,
    b"19999999", b"2026-01-01", b"25:61:00", b"\xff\xfe\x00\x01", "é".encode(), b"M^F",
    b"=", b"a=b=c=d", b"^^^^^^^", b"-1e400", b"NaN", b"  1 ", b"1.2.03.4", b"+9999",
    b"\x1b$B0l", b"123456789012345678", b"LOWER case", b"Y" * 17, b"10Y", b"yes",
)  # fmt: skip
LABELS = (
    None, b"", b"ISO_IR 100", b"ISO_IR 192", b"GB18030", b"ISO_IR_192", b"NONSENSE",
    b"\\ISO 2022 IR 87",
)  # fmt: skip
"""Specific Character Sets; None leaves it out."""


@dataclass(frozen=True)
class Spoilt:
    """What is wrong with a series: keywords with content and VR, under a label."""

    label: bytes | None
    attributes: tuple[tuple[str, bytes, str], ...]

    @property
    def kept_uid(self) -> str:
        """The frame of reference, which results share with their source in any form."""
        return next(
            (
                content.decode("latin-1").strip(" \0")
                for keyword, content, _vr in self.attributes
                if keyword == "FrameOfReferenceUID"
            ),
            "",
        )

    def change(self, dataset: Dataset) -> None:
        """Write it into an instance."""
        dataset.pop("SpecificCharacterSet", None)
        if self.label is not None:
            odd_series.put(dataset, "SpecificCharacterSet", self.label)
        for keyword, content, vr in self.attributes:
            odd_series.put(dataset, keyword, content, vr=vr)


def spoilt(choice: random.Random) -> Spoilt:
    """Return one case."""
    attributes = []
    for keyword in choice.sample(KEYWORDS, _AT_ONCE):
        vr = dictionary_VR(keyword)
        if vr == "SQ":
            vr = choice.choice(["LO", "UN"])
        elif choice.random() < _OTHER_VR_PART:
            vr = choice.choice(["UN", "LO", "ST", "UT"])
        attributes.append((keyword, choice.choice(CONTENTS), vr))
    return Spoilt(choice.choice(LABELS), tuple(attributes))


def little_series() -> Series:
    """Return three slices of the bundled series at a quarter of their resolution."""
    bundled = variants.read_bundled(ROOT / "deploy" / "demo" / "series")
    return regrid.blocks(bundled, rows=4, columns=4)[:3]


def faults_of(series: Series, case: Spoilt, folder: Path) -> list[str]:
    """Return what is wrong with the results of a spoilt series; none if it is refused.

    A value that no writer puts into a file, such as bytes that are no sequence, makes
    no case.
    """
    folder.mkdir()
    try:
        paths = odd_series.rewritten(series, folder, case.change)
    except (OSError, ValueError, TypeError, ArithmeticError):
        return []
    if reject(read_headers(paths)) is not None:
        return []
    try:
        analysed = analyse_series(paths, PhantomMri(), threads=1)
    except SeriesRejectedError as error:
        return [f"refused: {error}"]
    try:
        objects = encode_series(analysed, replace(REQUEST, objects=ALL_OBJECTS))
    except EncodingError as error:
        return [str(error)]
    faults = []
    for one in objects:
        path = folder / f"{one.name}.dcm"
        path.write_bytes(encode_file(one.dataset))
        faults += [
            f"{one.name}: {line}"
            for line in errors_of("dciodvfy", path)
            if not case.kept_uid or f"= <{case.kept_uid}>" not in line
        ]
    return faults


def main(words: Sequence[str] | None = None) -> int:
    """Run the cases, and print those that cost a result or made one invalid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", default="1")
    chosen = parser.parse_args(words)
    choice, series, bad = random.Random(chosen.seed), little_series(), 0
    with (
        tempfile.TemporaryDirectory() as folder,
        config.disable_value_validation(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of pydicom, which writes what is spoilt
        for number in tqdm(range(chosen.cases), unit="case"):
            case = spoilt(choice)
            faults = faults_of(series, case, Path(folder) / str(number))
            if faults:
                bad += 1
                tqdm.write(f"{case}: {faults}")
    told = f"{chosen.cases} cases, {bad} that cost a result or made one invalid\n"
    sys.stdout.write(told)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())

"""Which presentation contexts are accepted."""

from __future__ import annotations

import pytest
from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES, sop_class

from dicom_node.decode import pixels
from dicom_node.decode.pick_slices import MR_IMAGE_CLASSES
from dicom_node.dimse.contexts import (
    DECODED_SYNTAXES,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    MEASURED_CLASSES,
    VERIFICATION,
    choose_syntax,
    is_kept_syntax,
    is_storage,
    is_supported,
)

MR = "1.2.840.10008.5.1.4.1.1.4"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG_XL = "1.2.840.10008.1.2.4.110"
MPEG4 = "1.2.840.10008.1.2.4.102"
VIDEO = "1.2.840.10008.5.1.4.1.1.77.1.4.1"

# PS3.4 annex E, J, S … as pynetdicom knows them; each is a service that we are not.
OTHER_SERVICES = (
    sop_class._QR_CLASSES,
    sop_class._BASIC_WORKLIST_CLASSES,
    sop_class._PRINT_MANAGEMENT_CLASSES,
    sop_class._PROCEDURE_STEP_CLASSES,
    sop_class._STORAGE_COMMITMENT_CLASSES,
    sop_class._UNIFIED_PROCEDURE_STEP_CLASSES,
    sop_class._INSTANCE_AVAILABILITY_CLASSES,
    sop_class._MEDIA_CREATION_CLASSES,
    sop_class._STORAGE_MANAGEMENT_CLASSES,
    sop_class._INVENTORY_CLASSES,
)


@pytest.mark.parametrize("uid", sorted(sop_class._STORAGE_CLASSES.values()))
def test_every_storage_class_that_pynetdicom_knows_is_stored(uid: str) -> None:
    assert is_storage(uid)


@pytest.mark.parametrize(
    "uid", sorted({uid for table in OTHER_SERVICES for uid in table.values()})
)
def test_no_other_service_is_mistaken_for_storage(uid: str) -> None:
    assert not is_supported(uid)


def test_a_private_class_and_one_of_a_later_standard_are_stored() -> None:
    assert is_storage("1.3.12.2.1107.5.9.1")
    assert is_storage("1.2.840.10008.5.1.4.1.1.999.1")


def test_verification_is_supported_and_is_no_storage() -> None:
    assert is_supported(VERIFICATION)
    assert not is_storage(VERIFICATION)


def test_no_abstract_syntax_is_not_supported() -> None:
    assert not is_supported("")


SMPTE_STREAMS = {f"1.2.840.10008.1.2.7.{number}" for number in (1, 2, 3)}


@pytest.mark.parametrize("uid", sorted(set(ALL_TRANSFER_SYNTAXES) - SMPTE_STREAMS))
def test_every_transfer_syntax_of_files_is_kept(uid: str) -> None:
    assert is_kept_syntax(uid)


@pytest.mark.parametrize("uid", [*sorted(SMPTE_STREAMS), "1.2.840.113619.5.2", ""])
def test_real_time_streams_and_private_encodings_are_not(uid: str) -> None:
    assert not is_kept_syntax(uid)


def test_the_first_syntax_that_can_be_kept_is_chosen() -> None:
    proposed = ("1.2.840.113619.5.2", JPEG_LOSSLESS, EXPLICIT_LITTLE)
    assert choose_syntax(MR, proposed) == JPEG_LOSSLESS


def test_of_a_picture_that_may_be_measured_one_is_chosen_that_can_be_decoded() -> None:
    assert choose_syntax(MR, (JPEG_XL, JPEG_LOSSLESS, EXPLICIT_LITTLE)) == (
        JPEG_LOSSLESS
    )
    assert choose_syntax(MR, (JPEG_XL,)) == JPEG_XL
    assert choose_syntax(VIDEO, (MPEG4, EXPLICIT_LITTLE)) == MPEG4


def test_what_is_decoded_is_what_the_decoders_take() -> None:
    native = {
        uid
        for uid in map(UID, ALL_TRANSFER_SYNTAXES)
        if is_kept_syntax(uid) and not uid.is_encapsulated
    }
    assert native | set(pixels._PLUGINS) | pixels._ISOLATED == DECODED_SYNTAXES
    assert MEASURED_CLASSES == MR_IMAGE_CLASSES


def test_a_context_without_a_known_syntax_is_refused() -> None:
    assert choose_syntax(MR, ("1.2.840.113619.5.2",)) is None
    assert choose_syntax(MR, ()) is None


def test_verification_is_never_compressed() -> None:
    assert choose_syntax(VERIFICATION, (JPEG_LOSSLESS,)) is None
    assert choose_syntax(VERIFICATION, (JPEG_LOSSLESS, IMPLICIT_LITTLE)) == (
        IMPLICIT_LITTLE
    )

"""Reading a series: what becomes a volume, and what is refused with its numbers."""

from __future__ import annotations

from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from analysis.contract.geometry import Frame
from dicom_node.decode import volume as volume_module
from dicom_node.decode.lossy_compression import state_loss
from dicom_node.decode.volume import read_volume
from dicom_node.errors import GeometryError, PixelDataError, SeriesRejectedError
from tests.support.mr_series import build_enhanced, build_series, write_series
from tests.support.spine_phantom import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    frame_of,
    mirrored,
    phantom_spine,
    turned,
)

SHAPE = (5, 24, 16)


def ramp(shape: tuple[int, int, int] = SHAPE) -> NDArray[np.float32]:
    """12-bit voxels, each unlike its neighbours: none can be mistaken for another."""
    return (np.arange(np.prod(shape)) % 4096).astype(np.float32).reshape(shape)


def same_place(frame: Frame, other: Frame, corner: tuple[int, int, int]) -> bool:
    """Tell whether first and last voxel lie at the same place in both frames."""
    return all(
        np.allclose(frame.to_mm(index), other.to_mm(index), atol=1e-3)
        for index in ([0, 0, 0], [n - 1 for n in corner])
    )


@pytest.mark.parametrize("directions", [SAGITTAL, CORONAL, AXIAL])
@pytest.mark.parametrize("angle_deg", [0.0, 17.0])
def test_voxels_lie_where_they_were_written(
    tmp_path: Path, directions: NDArray[np.float64], angle_deg: float
) -> None:
    frame = frame_of(SHAPE, (4.0, 0.5, 0.75), turned(directions, angle_deg=angle_deg))
    decoded = read_volume(write_series(tmp_path, build_series(ramp(), frame)))
    assert np.array_equal(decoded.volume.voxels, ramp())
    assert same_place(decoded.volume.frame, frame, SHAPE)
    assert np.allclose(decoded.volume.frame.spacing_mm, [4.0, 0.5, 0.75])


def test_files_may_come_in_any_order(tmp_path: Path) -> None:
    paths = write_series(tmp_path, build_series(ramp(), frame_of(SHAPE)))
    shuffled = [paths[index] for index in (3, 0, 4, 2, 1)]
    decoded = read_volume(shuffled)
    assert np.array_equal(decoded.volume.voxels, ramp())
    assert [int(each.InstanceNumber) for each in decoded.sources] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("axes", [(0, 2), (0, 1), (1, 2)])
def test_a_mirrored_grid_shows_the_same_patient(
    tmp_path: Path, axes: tuple[int, int]
) -> None:
    """Columns to the front, rows to the head: other indices, same places."""
    voxels, frame, _ = phantom_spine((5, 40, 24), (6.0, 7.0, 6.0))
    other, other_frame = mirrored(voxels, frame, axes)
    decoded = read_volume(write_series(tmp_path, build_series(other, other_frame)))
    places = frame.to_mm(np.argwhere(voxels > 600))
    indices = np.rint(decoded.volume.frame.to_index(places)).astype(int)
    assert (decoded.volume.voxels[tuple(indices.T)] > 600).all()


def test_the_frame_is_right_handed_whatever_the_acquisition_order(
    tmp_path: Path,
) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE))
    for number, dataset in enumerate(reversed(datasets), start=1):
        dataset.InstanceNumber = number
    decoded = read_volume(write_series(tmp_path, datasets))
    slice_axis, row_axis, column_axis = decoded.volume.frame.directions.T
    assert np.cross(column_axis, row_axis) @ slice_axis == pytest.approx(1.0)
    assert np.array_equal(decoded.volume.voxels, ramp())


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLossless,
        JPEGLosslessSV1,
        JPEGLSLossless,
        JPEG2000Lossless,
    ],
    ids=lambda syntax: str(syntax.name),
)
def test_every_transfer_syntax_gives_the_same_voxels(
    tmp_path: Path, syntax: str
) -> None:
    datasets = build_series(ramp((2, 64, 48)), frame_of((2, 64, 48)))
    paths = write_series(tmp_path, datasets, syntax=syntax)
    assert np.array_equal(read_volume(paths).volume.voxels, ramp((2, 64, 48)))


def test_high_throughput_jpeg_2000_has_a_decoder() -> None:
    from pydicom.pixels.decoders.base import get_decoder

    assert get_decoder(HTJ2KLossless).is_available


def test_no_decoder_under_the_gpl_is_installed() -> None:
    owners = {
        name.lower() for names in packages_distributions().values() for name in names
    }
    assert "pylibjpeg-libjpeg" not in owners


@pytest.mark.parametrize(
    ("bits_stored", "signed", "lowest", "highest"),
    [
        (8, False, 0, 255),
        (12, False, 0, 4095),
        (16, False, 0, 65535),
        (12, True, -2048, 2047),
        (16, True, -32768, 32767),
    ],
)
def test_stored_values_of_any_width_and_sign(
    tmp_path: Path, bits_stored: int, signed: bool, lowest: int, highest: int
) -> None:
    shape = (2, 5, 3)
    voxels = np.linspace(lowest, highest, 30).round().reshape(shape).astype(np.float32)
    datasets = build_series(
        voxels, frame_of(shape), bits_stored=bits_stored, signed=signed
    )
    decoded = read_volume(write_series(tmp_path, datasets))
    assert np.array_equal(decoded.volume.voxels, voxels - lowest)  # air at zero


def test_each_slice_has_its_own_rescale(tmp_path: Path) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE))
    for k, dataset in enumerate(datasets):
        dataset.RescaleSlope, dataset.RescaleIntercept = k + 1, -10 * k
    decoded = read_volume(write_series(tmp_path, datasets))
    for k in range(SHAPE[0]):
        assert np.array_equal(decoded.volume.voxels[k], ramp()[k] * (k + 1) - 10 * k)


@pytest.mark.parametrize("value", ["0", "NaN", "many", "1e300"])
def test_a_rescale_that_is_no_number_is_refused(tmp_path: Path, value: str) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE))
    paths = write_series(tmp_path, datasets)
    _spoil(paths[0], "RescaleSlope", value)
    with pytest.raises(PixelDataError) as caught:
        read_volume(paths)
    assert caught.value.reason == "bad_rescale"


def _spoil(path: Path, keyword: str, value: str) -> None:
    """Write text that its VR forbids, as careless senders do."""
    from pydicom import config, dcmread
    from pydicom.datadict import dictionary_VR, tag_for_keyword
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    tag = Tag(tag_for_keyword(keyword) or 0)
    raw = value.encode() + b" " * (len(value) % 2)
    with config.disable_value_validation():
        dataset = dcmread(path)
        dataset[tag] = RawDataElement(
            tag, dictionary_VR(tag), len(raw), raw, 0, is_implicit_VR=False,
            is_little_endian=True, is_raw=True,
        )  # fmt: skip
        dataset.save_as(path)


def test_monochrome1_is_mirrored_so_that_bright_stays_bright(tmp_path: Path) -> None:
    datasets = build_series(
        ramp(), frame_of(SHAPE), PhotometricInterpretation="MONOCHROME1"
    )
    decoded = read_volume(write_series(tmp_path, datasets))
    mirrored_ramp = ramp().max() - ramp()  # darkest is air, at zero
    assert np.abs(decoded.volume.voxels - mirrored_ramp).max() <= 1
    codes = {notice.code for notice in decoded.warnings}
    assert codes == {"monochrome1_mirrored", "signal_zero_moved"}


def test_a_table_of_values_is_not_passed_over(tmp_path: Path) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE))
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.ModalityLUTType = "US"
    table.LUTData = (np.arange(4096) ** 2 // 4096).astype("<u2").tobytes()
    datasets[2].ModalityLUTSequence = [table]
    error = _refusal(write_series(tmp_path, datasets))
    assert error.reason == "bad_rescale"
    assert "Modality LUT Sequence" in error.text


def test_a_picture_that_is_shown_inverted_and_says_that_it_is_not_is_refused(
    tmp_path: Path,
) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE), PresentationLUTShape="INVERSE")
    error = _refusal(write_series(tmp_path, datasets))
    assert error.reason == "unsupported_pixels"
    assert "INVERSE" in error.text


@pytest.mark.parametrize(
    ("photometric", "shape"),
    [("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "IDENTITY")],
)
def test_a_shape_that_says_what_the_pixels_say_is_taken(
    tmp_path: Path, photometric: str, shape: str
) -> None:
    datasets = build_series(
        ramp(),
        frame_of(SHAPE),
        PhotometricInterpretation=photometric,
        PresentationLUTShape=shape,
    )
    assert read_volume(write_series(tmp_path, datasets)).volume.voxels.any()


def test_a_slope_below_zero_turns_the_values(tmp_path: Path) -> None:
    datasets = build_series(
        4095 - ramp(), frame_of(SHAPE), RescaleSlope=-1, RescaleIntercept=4095
    )
    decoded = read_volume(write_series(tmp_path, datasets))
    assert np.array_equal(decoded.volume.voxels, ramp())


def test_a_file_that_came_twice_is_used_once(tmp_path: Path) -> None:
    paths = write_series(tmp_path, build_series(ramp(), frame_of(SHAPE)))
    copy = tmp_path / "again.dcm"
    copy.write_bytes(paths[2].read_bytes())
    decoded = read_volume([*paths, copy])
    assert decoded.volume.voxels.shape == SHAPE
    assert [notice.code for notice in decoded.warnings] == ["duplicate_instances"]


def test_the_same_picture_under_two_uids_is_used_once(tmp_path: Path) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE))
    again = build_series(ramp(), frame_of(SHAPE))[2]
    again.SOPInstanceUID = UID("2.25.99")
    again.file_meta.MediaStorageSOPInstanceUID = UID("2.25.99")
    decoded = read_volume(write_series(tmp_path, [*datasets, again]))
    assert decoded.volume.voxels.shape == SHAPE


def test_half_a_series_of_even_slices_is_doubted(tmp_path: Path) -> None:
    whole = build_series(ramp((9, 24, 16)), frame_of((9, 24, 16)))
    decoded = read_volume(write_series(tmp_path, whole[::2]))
    assert decoded.volume.voxels.shape == SHAPE
    assert [notice.code for notice in decoded.warnings] == ["slices_apart"]


@pytest.mark.parametrize("stated", [{"SpacingBetweenSlices": 2.0}, {}])
def test_a_gap_in_place_of_the_distance_is_not_doubted(
    tmp_path: Path, stated: dict[str, float]
) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE, (6.0, 0.5, 0.5)))
    for dataset in datasets:
        del dataset.SpacingBetweenSlices
        dataset.SliceThickness = 4.0
        for keyword, value in stated.items():
            setattr(dataset, keyword, value)
    decoded = read_volume(write_series(tmp_path, datasets))
    assert not decoded.warnings


def test_slices_of_two_frames_of_reference_are_doubted(tmp_path: Path) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE))
    datasets[-1].FrameOfReferenceUID = "1.2.3.4"
    decoded = read_volume(write_series(tmp_path, datasets))
    assert [notice.code for notice in decoded.warnings] == ["mixed_frames"]
    assert "name 2 frames of reference" in decoded.warnings[0].text


def test_lossy_compression_is_mentioned(tmp_path: Path) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE), LossyImageCompression="01")
    decoded = read_volume(write_series(tmp_path, datasets))
    assert [notice.code for notice in decoded.warnings] == ["lossy_compression"]


def test_the_loss_of_one_instance_is_mentioned_and_is_that_of_all(
    tmp_path: Path,
) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE))
    datasets[3].LossyImageCompression = "01"
    datasets[3].LossyImageCompressionRatio = "8.5"
    decoded = read_volume(write_series(tmp_path, datasets))
    assert [notice.code for notice in decoded.warnings] == ["lossy_compression"]
    assert {str(one.LossyImageCompression) for one in decoded.sources} == {"01"}
    assert {float(one.LossyImageCompressionRatio) for one in decoded.sources} == {8.5}


def test_an_encoding_that_always_loses_something_needs_no_attribute_to_say_so() -> None:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEGLSLossless
    assert not state_loss([dataset])
    dataset.file_meta.TransferSyntaxUID = JPEGLSNearLossless
    assert state_loss([dataset])
    assert dataset.LossyImageCompression == "01"
    assert dataset.LossyImageCompressionMethod == "ISO_14495_1"


@pytest.mark.parametrize("quality", [None, [10.0]])
def test_jpeg_2000_says_itself_whether_it_has_lost_something(
    quality: list[float] | None,
) -> None:
    (dataset,) = build_series(ramp((1, 64, 64)), frame_of((1, 64, 64)))
    if quality is None:
        dataset.compress(JPEG2000Lossless)
        dataset.file_meta.TransferSyntaxUID = JPEG2000
    else:
        dataset.compress(JPEG2000, j2k_cr=quality)
    dataset.pop("LossyImageCompression", None)
    assert state_loss([dataset]) is (quality is not None)


def test_a_contrast_known_from_words_alone_is_mentioned(tmp_path: Path) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE), EchoTime=None)
    decoded = read_volume(write_series(tmp_path, datasets))
    assert [each.code for each in decoded.warnings] == ["weighting_from_description"]


def test_a_contrast_that_nothing_tells_is_left_to_the_analysis(tmp_path: Path) -> None:
    datasets = build_series(
        ramp(), frame_of(SHAPE), EchoTime=None, SeriesDescription="sag"
    )
    assert read_volume(write_series(tmp_path, datasets)).warnings == ()


def test_a_lone_slice_takes_its_thickness_as_spacing(tmp_path: Path) -> None:
    shape = (1, 24, 16)
    decoded = read_volume(
        write_series(tmp_path, build_series(ramp(shape), frame_of(shape)))
    )
    assert decoded.volume.frame.spacing_mm[0] == pytest.approx(4.0)


def _refusal(paths: list[Path]) -> SeriesRejectedError:
    with pytest.raises(SeriesRejectedError) as caught:
        read_volume(paths)
    return caught.value


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"ImageOrientationPatient": None}, "missing_orientation"),
        ({"ImagePositionPatient": None}, "missing_position"),
        ({"PixelSpacing": None}, "missing_spacing"),
        ({"PixelSpacing": [0.0, 0.5]}, "bad_spacing"),
        ({"ImageOrientationPatient": [0, 2, 0, 0, 0, -1]}, "bad_orientation"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0.5, -0.9]}, "bad_orientation"),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, "bad_orientation"),
        ({"PixelData": None}, "no_pixel_data"),
        ({"PixelSpacing": [0.5, 0.5, 0.5]}, "missing_spacing"),
        ({"BitsAllocated": 32}, "unsupported_pixels"),
        ({"BitsStored": 0}, "unsupported_pixels"),
        ({"BitsStored": 20}, "unsupported_pixels"),
        ({"SamplesPerPixel": 3}, "unsupported_pixels"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "unsupported_pixels"),
    ],
)
def test_attributes_that_make_no_volume(
    tmp_path: Path, attributes: dict[str, Any], reason: str
) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE), **attributes)
    assert _refusal(write_series(tmp_path, datasets)).reason == reason


@pytest.mark.parametrize(
    ("keyword", "name"),
    [
        ("BitsAllocated", "Bits Allocated"),
        ("BitsStored", "Bits Stored"),
        ("PixelRepresentation", "Pixel Representation"),
        ("PhotometricInterpretation", "Photometric Interpretation"),
        ("SamplesPerPixel", "Samples per Pixel"),
    ],
)
def test_what_the_pixels_need_is_named_where_it_is_missing(
    tmp_path: Path, keyword: str, name: str
) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE))
    paths = write_series(tmp_path, datasets)
    dataset = dcmread(paths[3])
    delattr(dataset, keyword)
    dataset.save_as(paths[3])
    error = _refusal(paths)
    assert error.reason == "unsupported_pixels"
    assert error.text == f"missing from the dataset: {name}"


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ("3", "768 bytes are there, 3 frames of 24 x 16 need 2304"),
        ("-3", "768 bytes are there, -3 frames of 24 x 16 need -2304"),
        ("many", "Number of Frames is not a number"),
    ],
)
def test_pixels_that_are_not_what_the_header_tells_are_refused_with_the_sizes(
    tmp_path: Path, frames: str, why: str
) -> None:
    paths = write_series(tmp_path, build_series(ramp(), frame_of(SHAPE)))
    _spoil(paths[1], "NumberOfFrames", frames)
    error = _refusal(paths)
    assert error.reason == "unreadable_pixels"
    assert why in error.text


def test_a_transfer_syntax_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path, build_series(ramp(), frame_of(SHAPE)))
    dataset = dcmread(paths[0])
    dataset.file_meta.TransferSyntaxUID = UID("1.2.3.4.5")
    dataset.save_as(paths[0], implicit_vr=False, little_endian=True)
    assert _refusal(paths).text.endswith("the transfer syntax is not known")


def test_one_slice_without_orientation_is_counted(tmp_path: Path) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE))
    del datasets[3].ImageOrientationPatient
    error = _refusal(write_series(tmp_path, datasets))
    assert error.text == "1 of 5 slices have no Image Orientation (Patient)"


def test_mixed_orientations_are_refused(tmp_path: Path) -> None:
    sagittal = build_series(ramp(), frame_of(SHAPE))
    axial = build_series(ramp() + 1, frame_of(SHAPE, directions=AXIAL), seed="other")
    error = _refusal(write_series(tmp_path, [*sagittal, *axial]))
    assert error.reason == "mixed_orientation"
    assert "5 of 10" in error.text


def test_a_missing_slice_is_named_with_its_distance(tmp_path: Path) -> None:
    datasets = build_series(ramp((8, 24, 16)), frame_of((8, 24, 16)))
    error = _refusal(write_series(tmp_path, datasets[:3] + datasets[4:]))
    assert error.reason == "uneven_spacing"
    assert "slices 3 and 4 of 7 are 8.00 mm apart, the others 4.00 mm" in error.text


def test_positions_rounded_to_a_tenth_are_even(tmp_path: Path) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE, (4.44, 1.0, 1.0)))
    for dataset in datasets:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [round(x, 1), y, z]
    decoded = read_volume(write_series(tmp_path, datasets))
    assert decoded.volume.frame.spacing_mm[0] == pytest.approx(4.44, abs=0.03)


def test_two_echoes_at_each_position_are_refused(tmp_path: Path) -> None:
    first = build_series(ramp(), frame_of(SHAPE), EchoTime=20)
    second = build_series(ramp() + 7, frame_of(SHAPE), EchoTime=100, seed="echo 2")
    error = _refusal(write_series(tmp_path, [*first, *second]))
    assert error.reason == "several_volumes"
    assert "2 pictures at each of 5 positions" in error.text


def test_one_doubled_position_with_another_picture_is_refused(tmp_path: Path) -> None:
    first = build_series(ramp(), frame_of(SHAPE))
    second = build_series(ramp() + 7, frame_of(SHAPE), seed="re-scan")
    error = _refusal(write_series(tmp_path, [*first, second[2]]))
    assert error.reason == "doubled_position"


def test_different_pictures_under_one_uid_are_refused(tmp_path: Path) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE))
    datasets[1].SOPInstanceUID = datasets[0].SOPInstanceUID
    datasets[1].file_meta.MediaStorageSOPInstanceUID = datasets[0].SOPInstanceUID
    assert _refusal(write_series(tmp_path, datasets)).reason == "colliding_uids"


def test_slices_of_different_size_are_refused(tmp_path: Path) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE))
    for dataset in datasets[:2]:
        dataset.Rows, dataset.Columns = 16, 24
    error = _refusal(write_series(tmp_path, datasets))
    assert error.reason == "mixed_matrix"
    assert "16 x 24, 24 x 16" in error.text


def test_different_pixel_spacing_is_refused_with_both(tmp_path: Path) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE))
    for dataset in datasets[:2]:
        dataset.PixelSpacing = [1.25, 1.25]
    error = _refusal(write_series(tmp_path, datasets))
    assert error.reason == "mixed_spacing"
    assert "1.0000 to 1.2500 mm" in error.text


def test_slices_stacked_askew_are_refused_with_the_angle(tmp_path: Path) -> None:
    """4 mm along the normal and 4 mm along the columns a slice: 45 degrees."""
    datasets = build_series(ramp(), frame_of(SHAPE))
    for k, dataset in enumerate(datasets):
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y + 4.0 * k, z]
    error = _refusal(write_series(tmp_path, datasets))
    assert error.reason == "sheared_stack"
    assert "45.00 degrees" in error.text


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path, build_series(ramp(), frame_of(SHAPE)))
    content = paths[2].read_bytes()
    paths[2].write_bytes(content[:-100])
    assert _refusal(paths).reason == "unreadable_pixels"


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEGLosslessSV1])
@pytest.mark.parametrize("kept", [0.6, 0.97])
def test_truncated_compressed_pixels_are_refused(
    tmp_path: Path, syntax: str, kept: float
) -> None:
    shape = (2, 64, 48)
    datasets = build_series(ramp(shape), frame_of(shape))
    paths = write_series(tmp_path, datasets, syntax=syntax)
    content = paths[1].read_bytes()
    paths[1].write_bytes(content[: int(len(content) * kept)])
    assert isinstance(_refusal(paths), PixelDataError)


def test_a_broken_lossless_jpeg_does_not_end_this_process(tmp_path: Path) -> None:
    """GDCM dies of a frame header that claims 124 bits a sample."""
    shape = (3, 64, 48)
    datasets = build_series(ramp(shape), frame_of(shape))
    paths = write_series(tmp_path, datasets, syntax=JPEGLosslessSV1)
    content = bytearray(paths[1].read_bytes())
    frame_header = content.index(b"\xff\xc3")
    content[frame_header + 4] = 124
    paths[1].write_bytes(content)
    error = _refusal(paths)
    assert error.reason == "unreadable_pixels"
    assert "JPEG Lossless" in error.text


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless, JPEGLosslessSV1])
def test_a_frame_cut_inside_an_intact_file_is_refused(
    tmp_path: Path, syntax: str
) -> None:
    """A decoder would fill what is missing in silence."""
    shape = (1, 64, 48)
    datasets = build_series(ramp(shape), frame_of(shape))
    (path,) = write_series(tmp_path, datasets, syntax=syntax)
    dataset = dcmread(path)
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    dataset.PixelData = encapsulate([frame[: len(frame) // 2]])
    dataset.save_as(path)
    error = _refusal([path])
    assert error.text.endswith("cannot be decoded: truncated")


def test_a_file_cut_in_its_header_is_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path, build_series(ramp(), frame_of(SHAPE)))
    paths[2].write_bytes(paths[2].read_bytes()[:300])
    assert isinstance(_refusal(paths), PixelDataError)


def test_a_file_that_is_not_dicom_is_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path, build_series(ramp(), frame_of(SHAPE)))
    paths[2].write_text("this is a letter")
    assert _refusal(paths).reason == "unreadable_instance"


def test_an_absurd_size_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volume_module, "MAX_VOXELS", 1919)
    error = _refusal(write_series(tmp_path, build_series(ramp(), frame_of(SHAPE))))
    assert error.reason == "too_large"
    assert error.text == "1920 voxels in 5 slices; the limit is 1919"


def test_files_that_would_fill_the_memory_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_series(tmp_path, build_series(ramp(), frame_of(SHAPE)))
    size = sum(path.stat().st_size for path in paths)
    monkeypatch.setattr(volume_module, "MAX_BYTES", size - 1)
    assert _refusal(paths).text == f"{size} bytes in 5 files; the limit is {size - 1}"


def test_a_header_that_claims_gigabytes_is_refused(tmp_path: Path) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE), Rows=65535, Columns=65535)
    assert _refusal(write_series(tmp_path, datasets)).reason == "too_large"


def test_no_file_at_all_is_refused() -> None:
    assert _refusal([]).reason == "too_large"


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (2, 4, 1, 3, 0)])
def test_enhanced_frames_are_sorted_along_the_normal(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    frame = frame_of(SHAPE, (4.0, 0.5, 0.75), turned(SAGITTAL, angle_deg=11))
    dataset = build_enhanced(ramp(), frame, frame_order=order)
    decoded = read_volume(write_series(tmp_path, [dataset]))
    assert np.array_equal(decoded.volume.voxels, ramp())
    assert same_place(decoded.volume.frame, frame, SHAPE)
    assert decoded.frame_numbers == tuple(order.index(k) + 1 for k in range(5))
    assert len(decoded.sources) == 1


def test_two_enhanced_instances_in_a_series_are_refused(tmp_path: Path) -> None:
    first = build_enhanced(ramp(), frame_of(SHAPE))
    second = build_enhanced(ramp() + 1, frame_of(SHAPE), seed="second")
    error = _refusal(write_series(tmp_path, [first, second]))
    assert error.reason == "several_volumes"


def test_two_stacks_in_one_enhanced_instance_are_refused(tmp_path: Path) -> None:
    dataset = build_enhanced(
        np.concatenate([ramp(), ramp() + 1]), frame_of((10, *SHAPE[1:]))
    )
    frames = dataset.PerFrameFunctionalGroupsSequence
    for frame, other in zip(frames[5:], frames[:5], strict=True):
        frame.PlanePositionSequence = other.PlanePositionSequence
    error = _refusal(write_series(tmp_path, [dataset]))
    assert error.reason == "several_volumes"


def test_the_sources_keep_their_headers_and_lose_their_pixels(tmp_path: Path) -> None:
    decoded = read_volume(write_series(tmp_path, build_series(ramp(), frame_of(SHAPE))))
    assert all("PixelData" not in source for source in decoded.sources)
    assert {source.AccessionNumber for source in decoded.sources} == {"ACC0001"}


def test_a_refusal_carries_no_patient_data(tmp_path: Path) -> None:
    datasets = build_series(ramp(), frame_of(SHAPE), ImagePositionPatient=None)
    error = _refusal(write_series(tmp_path, datasets))
    assert isinstance(error, GeometryError)
    for secret in ("Phantom", "PHANTOM1", "ACC0001", "19800615"):
        assert secret not in str(error)


@pytest.mark.parametrize("padding", [b"\0" * 40, b"\xff" * 3, b" " * 100])
def test_padding_behind_a_code_stream_is_no_truncation(
    tmp_path: Path, padding: bytes
) -> None:
    shape = (2, 64, 48)
    datasets = build_series(ramp(shape), frame_of(shape))
    paths = write_series(tmp_path, datasets, syntax=JPEGLSLossless)
    for path in paths:
        dataset = dcmread(path)
        (stream,) = generate_frames(dataset.PixelData, number_of_frames=1)
        whole = stream.rstrip(b"\0") + padding
        dataset.PixelData = encapsulate([whole])
        dataset.save_as(path)
    assert np.array_equal(read_volume(paths).volume.voxels, ramp(shape))


@pytest.mark.parametrize(
    "syntax", [JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless]
)
def test_a_code_stream_of_another_size_is_refused_before_it_is_decoded(
    tmp_path: Path, syntax: str
) -> None:
    shape = (1, 64, 48)
    datasets = build_series(ramp(shape), frame_of(shape))
    (path,) = write_series(tmp_path, datasets, syntax=syntax)
    assert read_volume([path]).volume.voxels.shape == shape
    dataset = dcmread(path)
    dataset.Columns = 32
    dataset.save_as(path)
    error = _refusal([path])
    assert error.reason == "unreadable_pixels"
    assert "the code stream is of 64 x 48, the header tells 64 x 32" in error.text

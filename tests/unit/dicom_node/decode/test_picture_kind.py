"""What a picture shows, in the words of those who make scanners."""

from __future__ import annotations

import pytest

from dicom_node.decode.picture_kind import PictureKind, kind_of


@pytest.mark.parametrize(
    ("image_type", "kind"),
    [
        (r"ORIGINAL\PRIMARY\M\ND", PictureKind.MAGNITUDE),
        (r"ORIGINAL\PRIMARY\M\NORM\DIS2D", PictureKind.MAGNITUDE),
        (r"ORIGINAL\PRIMARY\M_SE\M\SE", PictureKind.MAGNITUDE),
        (r"ORIGINAL\PRIMARY\OTHER", PictureKind.MAGNITUDE),
        (r"DERIVED\PRIMARY\M\COMPOSED", PictureKind.MAGNITUDE),
        (r"ORIGINAL\PRIMARY\T2\NONE", PictureKind.MAGNITUDE),
        ("", PictureKind.MAGNITUDE),
        (r"ORIGINAL\PRIMARY\P\ND", PictureKind.PHASE),
        (r"ORIGINAL\PRIMARY\PHASE MAP\P\FFE", PictureKind.PHASE),
        (r"ORIGINAL\PRIMARY\P_SE\P\SE", PictureKind.PHASE),
        (r"ORIGINAL\PRIMARY\R_FFE\R\FFE", PictureKind.REAL),
        (r"ORIGINAL\PRIMARY\I_FFE\I\FFE", PictureKind.IMAGINARY),
        (r"ORIGINAL\PRIMARY\T2 MAP\T2\UNSPECIFIED", PictureKind.MAP),
        (r"DERIVED\PRIMARY\T2_MAP\ND", PictureKind.MAP),
        (r"DERIVED\PRIMARY\R2_UNSPECIFIED\R2", PictureKind.MAP),
        (r"DERIVED\PRIMARY\T2_STAR MAP", PictureKind.MAP),
        (r"DERIVED\PRIMARY\FIELD_MAP", PictureKind.MAP),
        (r"DERIVED\PRIMARY\QMAP\T2\NONE", PictureKind.MAP),
        (r"DERIVED\PRIMARY\DIXON\WATER", PictureKind.WATER),
        (r"DERIVED\PRIMARY\W\W\DERIVED", PictureKind.WATER),
        (r"DERIVED\PRIMARY\DIXON\FAT", PictureKind.FAT),
        (r"DERIVED\PRIMARY\F\F\DERIVED", PictureKind.FAT),
        (r"DERIVED\PRIMARY\DIXON\OPP_PHASE", PictureKind.OPPOSED_PHASE),
        (r"DERIVED\PRIMARY\OP\OP\DERIVED", PictureKind.OPPOSED_PHASE),
        (r"DERIVED\PRIMARY\DIXON\IN_PHASE", PictureKind.IN_PHASE),
        (r"DERIVED\PRIMARY\FF\FF\DERIVED", PictureKind.FAT_FRACTION),
        (r"DERIVED\PRIMARY\DIXON\FAT_FRACTION", PictureKind.FAT_FRACTION),
        (r"DERIVED\PRIMARY\MPR", PictureKind.PROJECTION),
        (r"ORIGINAL\PRIMARY\M\ND\MOSAIC", PictureKind.MOSAIC),
    ],
)
def test_image_and_frame_type_tell_the_kind(image_type: str, kind: PictureKind) -> None:
    assert kind_of(image_type.split("\\")) is kind


@pytest.mark.parametrize(
    ("description", "kind"),
    [
        ("t2_tse_sag", PictureKind.MAGNITUDE),
        ("SAG T2 MAP", PictureKind.MAP),
        ("T2map sag", PictureKind.MAP),
        ("R2* sag", PictureKind.MAP),
        ("qT2 sag", PictureKind.MAP),
        ("WATER: Sag T2 IDEAL", PictureKind.WATER),
        ("FAT: Sag T2 IDEAL", PictureKind.FAT),
        ("InPhase: Sag T2", PictureKind.IN_PHASE),
        ("OutPhase: Sag T2", PictureKind.OPPOSED_PHASE),
        ("FatFrac: Sag", PictureKind.FAT_FRACTION),
        ("t2_tse_dixon_sag_opp", PictureKind.OPPOSED_PHASE),
        ("t2_tse_dixon_sag_F", PictureKind.FAT),
        ("t2_tse_dixon_sag_W", PictureKind.WATER),
        ("t2 sag in", PictureKind.MAGNITUDE),
        ("Map of the spine, T2 sag", PictureKind.MAGNITUDE),
    ],
)
def test_the_description_tells_where_the_type_is_silent(
    description: str, kind: PictureKind
) -> None:
    assert kind_of(["ORIGINAL", "PRIMARY", "M"], description=description) is kind


def test_component_and_presentation_go_before_the_type() -> None:
    plain = ["ORIGINAL", "PRIMARY", "T2", "NONE"]
    assert kind_of(plain, component="PHASE") is PictureKind.PHASE
    assert kind_of(plain, component="MAGNITUDE") is PictureKind.MAGNITUDE
    assert kind_of(plain, presentation="TRUE_COLOR") is PictureKind.COLOUR

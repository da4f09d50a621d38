from collections.abc import Callable

import numpy as np
import pytest

from analysis.contract.concepts import MILLIMETRE, Concept
from analysis.contract.errors import UnsuitableInput
from analysis.contract.geometry import Frame
from analysis.contract.measurement import Measurement
from analysis.contract.result import AnalysisResult, Finding, Page, Provenance
from analysis.contract.segmentation import Segment, Segmentation
from analysis.contract.volume import Volume

HEIGHT = Concept("121207", "DCM", "Height")
FRAME = Frame(
    origin_mm=np.zeros(3), directions=np.eye(3)[:, [2, 1, 0]], spacing_mm=np.ones(3)
)
DISC = Segment(number=1, label="L4/L5 disc", structure=HEIGHT, colour=(255, 0, 0))


def volume(voxels: object) -> Volume:
    return Volume(voxels=np.asarray(voxels, np.float32), frame=FRAME, series_uid="1.2")


def segmentation(*segments: Segment) -> Segmentation:
    return Segmentation(labels=np.array([[[0, 1]]], np.uint8), segments=segments)


def result(**changes: object) -> AnalysisResult:
    parts: dict[str, object] = {
        "segmentation": segmentation(DISC),
        "findings": (),
        "pages": (Page(title="Overlay", pixels=np.zeros((2, 2, 3), np.uint8)),),
        "provenance": Provenance(name="x", version="1", weights_sha256="0"),
    }
    return AnalysisResult(**{**parts, **changes})  # type: ignore[arg-type]


def segment(**changes: object) -> Segment:
    parts: dict[str, object] = {
        "number": 1,
        "label": "x",
        "structure": HEIGHT,
        "colour": (0, 0, 0),
    }
    return Segment(**{**parts, **changes})  # type: ignore[arg-type]


REFUSALS: list[tuple[str, Callable[[], object]]] = [
    ("expected 1 to 16", lambda: Concept("1" * 17, "DCM", "too long a value")),
    ("expected 1 to 64", lambda: Concept("1", "DCM", "")),
    ("not finite", lambda: Measurement(concept=HEIGHT, value=np.nan, unit=MILLIMETRE)),
    ("not finite", lambda: volume([[[np.nan]]])),
    ("expected shape", lambda: volume([[1.0]])),
    ("expected shape", lambda: volume(np.zeros((0, 2, 2)))),
    ("expected 1 to 255", lambda: segment(number=0)),
    ("expected 0 to 255", lambda: segment(colour=(0, 0, 256))),
    ("do not match", segmentation),
    ("number occurs twice", lambda: segmentation(DISC, DISC)),
    (
        "label occurs twice",
        lambda: segmentation(DISC, segment(number=2, label=DISC.label)),
    ),
    ("expected shape", lambda: Page(title="x", pixels=np.zeros((2, 2), np.uint8))),
    ("at least the overlay", lambda: result(pages=())),
    (
        "no segment 2",
        lambda: result(findings=(Finding(site=HEIGHT, label="x", segment_number=2),)),
    ),
]


@pytest.mark.parametrize(("what", "build"), REFUSALS)
def test_what_cannot_be_is_refused_when_it_is_built(
    what: str, build: Callable[[], object]
) -> None:
    with pytest.raises(ValueError, match=what):
        build()


def test_the_voxels_of_a_volume_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        volume(np.zeros((1, 2, 2))).voxels[0, 0, 0] = 1


def test_a_finding_may_have_no_segment() -> None:
    finding = Finding(site=HEIGHT, label="L1/L2 disc")
    assert result(findings=(finding,)).findings == (finding,)


def test_an_unsuitable_input_carries_its_code_and_its_text() -> None:
    outcome = UnsuitableInput(code="too_coarse", text="Pixels of 3 mm, limit 1.6 mm")
    assert (outcome.code, str(outcome)) == (
        "too_coarse",
        "Pixels of 3 mm, limit 1.6 mm",
    )

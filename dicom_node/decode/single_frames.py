"""Frames of several enhanced instances → one single-frame image each.

A series may be cut into one Enhanced MR instance per frame, or a concatenation (PS3.3
C.7.6.16.2.2.4) into several instances of some frames. What is made of a series is built
from images of one frame or from one instance of many. So each frame gets an image of
its own here, under a UID that stands for it until the results are finished.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from dicom_node.decode import attribute_values
from dicom_node.identifiers import derived_uid

_GROUPS = (
    "NumberOfFrames",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "DimensionOrganizationSequence",
    "DimensionIndexSequence",
)
_LIFTED = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": (
        "PixelSpacing",
        "SliceThickness",
        "SpacingBetweenSlices",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameReference:
    """What a single-frame image stands for.

    Parameters
    ----------
    frame_number
        From 1; None where the instance has no other frame.
    """

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None


def single_frames(
    instances: Sequence[Dataset], groups: Sequence[Sequence[Dataset]]
) -> tuple[tuple[tuple[Dataset, ...], ...], dict[str, FrameReference]]:
    """Make an image of each frame.

    Parameters
    ----------
    instances
        Without their pixels.
    groups
        The functional groups of the frames of each instance.

    Returns
    -------
    images
        By instance and frame.
    stands_for
        By SOP Instance UID of an image.
    """
    stands_for: dict[str, FrameReference] = {}
    images = []
    for instance, frames in zip(instances, groups, strict=True):
        uid = attribute_values.text(instance, "SOPInstanceUID")
        made = []
        groups_of_all = {key: instance[key] for key in _GROUPS if key in instance}
        for keyword in groups_of_all:
            del instance[keyword]
        for number, frame in enumerate(frames, start=1):
            image = _image(instance, frame, derived_uid("frame", uid, str(number)))
            stands_for[image.SOPInstanceUID] = FrameReference(
                sop_class_uid=attribute_values.text(instance, "SOPClassUID"),
                sop_instance_uid=uid,
                frame_number=number if len(frames) > 1 else None,
            )
            made.append(image)
        for element in groups_of_all.values():
            instance.add(element)
        images.append(tuple(made))
    return tuple(images), stands_for


def _image(instance: Dataset, frame: Dataset, uid: str) -> Dataset:
    """Make one image of an instance without its groups, and of a frame of it."""
    image = copy.deepcopy(instance)
    for sequence, keywords in _LIFTED.items():
        lifted = attribute_values.item(frame, sequence)
        for keyword in keywords:
            if keyword in lifted:
                image[keyword] = copy.copy(lifted[keyword])
    image.SOPClassUID = MRImageStorage
    image.SOPInstanceUID = uid
    return image

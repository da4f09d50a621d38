"""References to images that stand for frames → references to the frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from pydicom.dataset import Dataset

_LISTS = ("ReferencedInstanceSequence", "ReferencedSOPSequence")
"""Within a series these list its instances, each once and whole (PS3.3 C.17.2.1)."""


class StandsFor(Protocol):
    """The frame of an instance for which an image stands."""

    @property
    def sop_class_uid(self) -> str:
        """Of the instance."""

    @property
    def sop_instance_uid(self) -> str:
        """Of the instance."""

    @property
    def frame_number(self) -> int | None:
        """From 1; None where the instance has no other frame."""


def refer_to_frames(dataset: Dataset, stands_for: Mapping[str, StandsFor]) -> None:
    """Rewrite every reference to an image that stands for a frame.

    Changes `dataset`, which its caller has just made.

    Parameters
    ----------
    stands_for
        By the SOP Instance UID that was written.
    """
    if not stands_for:
        return
    for item in _items(dataset):
        frame = stands_for.get(str(item.get("ReferencedSOPInstanceUID", "")))
        if frame is not None:
            item.ReferencedSOPClassUID = frame.sop_class_uid
            item.ReferencedSOPInstanceUID = frame.sop_instance_uid
            if frame.frame_number is not None:
                item.ReferencedFrameNumber = frame.frame_number
    for item in _items(dataset):
        if "SeriesInstanceUID" in item:
            for keyword in _LISTS:
                if keyword in item:
                    _list_once(item, keyword)


def _list_once(series: Dataset, keyword: str) -> None:
    once: dict[str, Dataset] = {}
    for item in series[keyword].value:
        once.setdefault(str(item.ReferencedSOPInstanceUID), item)
    for item in once.values():
        if "ReferencedFrameNumber" in item:
            del item.ReferencedFrameNumber
    series[keyword].value = list(once.values())


def _items(dataset: Dataset) -> Iterator[Dataset]:
    """Yield a dataset and all items in it."""
    waiting = [dataset]
    while waiting:
        found = waiting.pop()
        yield found
        for element in found:
            if element.VR == "SQ":
                waiting += element.value

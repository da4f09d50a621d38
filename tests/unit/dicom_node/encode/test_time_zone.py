"""Dates and times of results state their zone, and are those of one moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydicom.dataset import Dataset

from dicom_node.encode.result_context import ROLES, offset_text
from dicom_node.encode.result_objects import encode_note, encode_result
from tests.support.encoded import REQUEST, by_name, decoded_phantom
from tests.support.phantom_result import phantom_result

MOMENT = datetime(2026, 2, 3, 20, 5, 6, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")
REQUEST_THERE = replace(
    REQUEST, objects=ROLES, content_time=MOMENT.astimezone(SHANGHAI)
)


def told(dataset: Dataset) -> tuple[str, str, str]:
    """Return day, time and offset of an object's making."""
    return (
        str(dataset.InstanceCreationDate),
        str(dataset.InstanceCreationTime),
        dataset.TimezoneOffsetFromUTC,
    )


def test_every_object_states_the_zone_of_its_times(tmp_path: Path) -> None:
    series, labels = decoded_phantom(tmp_path)
    found = by_name(encode_result(phantom_result(labels), series, REQUEST_THERE))
    assert {name.split("_")[0] for name in found} == set(ROLES)
    assert {told(one) for one in found.values()} == {("20260204", "040506", "+0800")}
    assert (found["sr"].ContentDate, found["sr"].ContentTime) == ("20260204", "040506")


def test_where_the_source_states_a_zone_the_results_tell_the_time_there(
    tmp_path: Path,
) -> None:
    # One offset is that of all times in an object, and Study Time is the source's.
    series, labels = decoded_phantom(
        tmp_path, TimezoneOffsetFromUTC="-0330", StudyTime="160000"
    )
    found = by_name(encode_result(phantom_result(labels), series, REQUEST_THERE))
    assert {told(one) for one in found.values()} == {("20260203", "163506", "-0330")}
    assert {one.StudyTime for one in found.values()} == {"160000"}
    note = encode_note(
        title="None", text="why", source=series.sources[0], request=REQUEST_THERE
    )
    assert told(note.dataset) == ("20260203", "163506", "-0330")


def test_a_zone_that_cannot_be_is_not_copied(tmp_path: Path) -> None:
    series, labels = decoded_phantom(tmp_path, TimezoneOffsetFromUTC="+9999")
    found = by_name(encode_result(phantom_result(labels), series, REQUEST_THERE))
    assert {told(one)[2] for one in found.values()} == {"+0800"}


@pytest.mark.parametrize(
    ("zone", "text"),
    [("UTC", "+0000"), ("Asia/Kolkata", "+0530"), ("America/St_Johns", "-0330")],
)
def test_an_offset_is_written_as_hours_and_minutes(zone: str, text: str) -> None:
    assert offset_text(MOMENT.astimezone(ZoneInfo(zone))) == text

"""The series that lie in a folder, for the offline command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import MediaStorageDirectoryStorage

from dicom_node.decode.headers import InstanceHeader, read_header
from dicom_node.decode.read_file import BrokenDicomError, NotDicomError
from dicom_node.errors import SeriesRejectedError


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSeries:
    """One series in a folder; `headers` and `paths` are in step."""

    series_uid: str
    headers: tuple[InstanceHeader, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files of the series."""
        return tuple(header.path for header in self.headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderContent:
    """What lies in a folder.

    Parameters
    ----------
    series
        In the order of their series number, then UID. Instances without a Series
        Instance UID form one series with an empty one.
    passed_over
        Files that are not DICOM instances.
    broken
        How many of these begin as DICOM, and may be slices that are missing now.
    refused
        Code and text of why, for those that could not be read.
    """

    series: tuple[FolderSeries, ...]
    passed_over: int
    broken: int
    refused: tuple[tuple[str, str], ...] = ()


def read_folder(folder: Path) -> FolderContent:
    """Walk a folder and group its DICOM instances by series.

    Raises
    ------
    NotADirectoryError
        If it is not a folder.
    """
    if not folder.is_dir():
        message = f"not a folder: {folder}"
        raise NotADirectoryError(message)
    groups: dict[tuple[str, str], list[InstanceHeader]] = {}
    passed_over = broken = 0
    refused: list[tuple[str, str]] = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        try:
            header = read_header(path)
        except NotDicomError as error:
            passed_over += 1
            if isinstance(error, BrokenDicomError):
                broken += 1
                refused.append(("unreadable_instance", f"not readable: {error}"))
            continue
        except SeriesRejectedError as error:
            passed_over += 1
            broken += 1
            refused.append((error.reason, error.text))
            continue
        if header.sop_class_uid == MediaStorageDirectoryStorage or _is_bare(header):
            passed_over += 1
            broken += header.sop_instance_uid != ""
            continue
        groups.setdefault((header.study_uid, header.series_uid), []).append(header)
    series = [
        FolderSeries(series_uid=series_uid, headers=tuple(headers))
        for (_, series_uid), headers in groups.items()
    ]
    series.sort(key=lambda each: (each.headers[0].series_number or 0, each.series_uid))
    return FolderContent(
        series=tuple(series),
        passed_over=passed_over,
        broken=broken,
        refused=tuple(refused),
    )


def _is_bare(header: InstanceHeader) -> bool:
    """Tell what breaks off early, or only begins like DICOM, from an instance."""
    return not (header.series_uid or header.rows or header.pixels)

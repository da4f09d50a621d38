"""What a backup holds: every file with its size and digest, written last.

A folder without this list is no backup: it was cut off. The times of the files are in
it, for the spool tells by them what came again, and not every copy keeps them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dicom_node import __version__
from dicom_node.errors import BackupError
from dicom_node.record_codec import from_record, to_record
from dicom_node.spool_layout import write_durable

LIST = "backup.json"
SETTINGS = "node.yaml"
DATABASE = "database.sqlite"
SPOOL = "spool"

_VERSION = 1
"""Raised only if an older node would restore something else than what was owed."""
_CHUNK_BYTES = 1024 * 1024

Progress = Callable[[str], None]
"""Is told what is going on; one short line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedFile:
    """One file of a backup.

    Parameters
    ----------
    name
        Its path in the backup, with slashes.
    modified_ns
        POSIX time in ns.
    """

    name: str
    size_bytes: int
    sha256: str
    modified_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedList:
    """The list of a backup.

    Parameters
    ----------
    node_version
        Of the node that wrote it.
    """

    version: int
    node_version: str
    files: tuple[SavedFile, ...]

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(one.size_bytes for one in self.files)


def write_list(folder: Path, progress: Progress) -> SavedList:
    """List everything in a folder; the backup is whole from then on."""
    files = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        state = path.stat()
        saved = SavedFile(
            name=path.relative_to(folder).as_posix(),
            size_bytes=state.st_size,
            sha256=_sha256(path),
            modified_ns=state.st_mtime_ns,
        )
        files.append(saved)
        progress(f"{len(files)} files digested")
    made = SavedList(version=_VERSION, node_version=__version__, files=tuple(files))
    write_durable(folder / LIST, json.dumps(to_record(made), indent=1).encode())
    return made


def read_list(folder: Path) -> SavedList:
    """Read the list of a backup, of a version that is known here.

    Raises
    ------
    BackupError
        If there is none, or another node wrote it.
    """
    try:
        record = json.loads((folder / LIST).read_bytes())
        version = record["version"]
    except (FileNotFoundError, NotADirectoryError):
        text = f"{folder} has no {LIST}: it is no backup, or one that was cut off"
        raise BackupError(text) from None
    except OSError as error:
        text = f"{folder / LIST}: {error.strerror}"
        raise BackupError(text) from error
    except (ValueError, TypeError, KeyError) as error:
        text = f"{folder / LIST} is damaged"
        raise BackupError(text) from error
    if version != _VERSION:
        text = (
            f"{folder} is a backup of version {version}, and lumbar-node "
            f"{__version__} restores version {_VERSION}: use the node that made it"
        )
        raise BackupError(text)
    try:
        found = from_record(SavedList, record)
    except ValueError as error:
        text = f"{folder / LIST} is damaged"
        raise BackupError(text) from error
    if not all(_is_within(one.name) for one in found.files):
        text = f"{folder / LIST} names files that lie elsewhere"
        raise BackupError(text)
    return found


def verify(folder: Path, saved: SavedList, progress: Progress) -> None:
    """Compare all files of a backup with its list.

    Raises
    ------
    BackupError
        If one is missing or differs.
    """
    wrong = list(_wrong(folder, saved, progress))
    if wrong:
        count = f"{len(wrong)} of {len(saved.files)} files"
        text = f"{folder} is not whole: {count} are missing or damaged ({wrong[0]})"
        raise BackupError(text)


def _wrong(folder: Path, saved: SavedList, progress: Progress) -> Iterator[str]:
    for number, one in enumerate(saved.files, start=1):
        path = folder / one.name
        progress(f"{number} of {len(saved.files)} files checked")
        size_bytes = path.stat().st_size if path.is_file() else None
        if size_bytes != one.size_bytes or _sha256(path) != one.sha256:
            yield one.name


def _is_within(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()

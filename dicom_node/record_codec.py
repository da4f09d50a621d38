"""Records as plain JSON values: one codec for the database and for the spool.

Old and newer records stay readable: a field that is unknown is ignored, and one that is
missing takes its default. So a field may be added with a default, and none may be
renamed or removed, because a record outlives an upgrade of the node.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

Record = dict[str, Any]
"""JSON of one of the dataclasses of `records` or of `jobs.step_outcome`."""

_T = TypeVar("_T")
_PATH = "path"
"""The field of `StoredInstance`; no other record that is kept has one of this name."""


def to_record(value: object) -> Record:
    """Return a dataclass as plain JSON values; paths as text."""
    record: Record = msgspec.to_builtins(value, enc_hook=str)
    return record


def from_record(kind: type[_T], record: object) -> _T:
    """Return the dataclass that `to_record` wrote, in this version or another.

    Raises
    ------
    ValueError
        If a field without a default is missing, or one is of another type.
    """
    return msgspec.convert(record, kind, dec_hook=_typed)


def moved(value: Any, place: Callable[[Path], Path]) -> Any:
    """Return JSON that holds records of instances, with the paths of another spool.

    Parameters
    ----------
    place
        Returns the new path of an instance.
    """
    if isinstance(value, list):
        return [moved(one, place) for one in value]
    if not isinstance(value, dict):
        return value
    result = {key: moved(one, place) for key, one in value.items()}
    if isinstance(result.get(_PATH), str):
        result[_PATH] = str(place(Path(result[_PATH])))
    return result


def _typed(kind: type[_T], value: Any) -> _T:
    if kind is Path:
        return kind(value)  # type: ignore[call-arg]
    message = f"a record holds a {kind.__name__}, which is not plain"
    raise NotImplementedError(message)

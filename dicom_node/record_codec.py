"""Records as plain JSON values: one codec for the database and for the spool.

Old and newer records stay readable: a field that is unknown is ignored, and one that is
missing takes its default. So a field may be added with a default, and none may be
renamed or removed, because a record outlives an upgrade of the node.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

Record = dict[str, Any]
"""JSON of one of the dataclasses of `records` or of `jobs.step_outcome`."""

_T = TypeVar("_T")


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


def _typed(kind: type[_T], value: Any) -> _T:
    if kind is Path:
        return kind(value)  # type: ignore[call-arg]
    message = f"a record holds a {kind.__name__}, which is not plain"
    raise NotImplementedError(message)

"""What had been released when the node was stopped; else its sender is waited for.

A node that dies cannot know whether an association of its last moments would have been
released. One that is stopped knows, and writes it down for the next start: a planned
stop costs a series no more than its quiet time, and its report no false doubt.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from dicom_node.record_codec import from_record, to_record
from dicom_node.spool_layout import SpoolLayout, write_durable


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedSeries:
    """A series that was not yet quiet, and whose associations had been released.

    Parameters
    ----------
    generation
        Of the instance of it that came last: another one means that more has come.
    """

    study_uid: str
    series_uid: str
    generation: int


def write_released(layout: SpoolLayout, released: Iterable[ReleasedSeries]) -> None:
    """Write down what the next start is to know; nothing if that is nothing.

    Raises
    ------
    OSError
        If the disk does not take it.
    """
    records = [to_record(series) for series in released]
    if records:
        write_durable(layout.released, json.dumps(records).encode())


def take_released(layout: SpoolLayout) -> frozenset[ReleasedSeries]:
    """Return what the last stop wrote down, once."""
    found: frozenset[ReleasedSeries] = frozenset()
    with suppress(OSError, ValueError, TypeError):
        records = json.loads(layout.released.read_bytes())
        found = frozenset(from_record(ReleasedSeries, one) for one in records)
    with suppress(OSError):
        layout.released.unlink(missing_ok=True)
    return found

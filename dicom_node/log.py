"""One JSON object a line on stdout, and a guard that keeps patient data out.

Free text is for people, fields are for machines. Only the fields named here pass.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from dicom_node.identifiers import digest

FIELDS = frozenset(
    {
        "association_id", "calling_ae", "called_ae", "peer", "address", "study_uid",
        "series_uid", "sop_uid", "sop_class_uid", "transfer_syntax_uid", "job_id",
        "route", "analysis", "analysis_version", "stage", "attempt", "state",
        "error_code", "reason", "duration_ms", "instances", "bytes", "status",
        "completion", "process", "pid", "port", "retry_s", "revision", "path",
        "free_bytes", "runtime", "user", "action", "proof", "machine", "role", "jobs",
    }
)  # fmt: skip
"""Names that may appear beside `event`, `time`, `level` in a line of the log."""

_UID_FIELDS = frozenset({"study_uid", "series_uid", "sop_uid"})
_LOGGER = logging.getLogger("lumbar-node")
_LOGGER.addHandler(logging.NullHandler())
"""Before `configure`, as in a command that a person types, nothing is written: such a
command says itself what went wrong."""

_LIBRARIES_THAT_QUOTE = ("pydicom", "highdicom")
"""Their warnings repeat values of the dataset, such as a name: never to our output."""

FieldValue = str | int | float | None


class UnknownFieldError(ValueError):
    """A field outside the closed list: it might carry patient data."""


def configure(
    *, level: str = "info", uids: Literal["plain", "hashed"] = "plain"
) -> None:
    """Send the log of this process to stdout, one JSON object a line."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonLines(hash_uids=uids == "hashed"))
    _LOGGER.handlers[:] = [handler]
    _LOGGER.setLevel(level.upper())
    _LOGGER.propagate = False
    silence_libraries()


def silence_libraries() -> None:
    """Keep what libraries say about a dataset out of our output."""
    for library in _LIBRARIES_THAT_QUOTE:
        warnings.filterwarnings("ignore", module=rf"{library}(\.|$)")
        logger = logging.getLogger(library)
        logger.handlers[:] = [logging.NullHandler()]
        logger.propagate = False


def event(name: str, /, *, level: int = logging.INFO, **fields: FieldValue) -> None:
    """Write one event, in the past tense, such as `instance_stored`.

    Raises
    ------
    UnknownFieldError
        If a field is not in `FIELDS`.
    """
    unknown = fields.keys() - FIELDS
    if unknown:
        message = f"{name}: fields not allowed in the log: {sorted(unknown)}"
        raise UnknownFieldError(message)
    _LOGGER.log(level, name, extra={"node_fields": fields})


def warning(name: str, /, **fields: FieldValue) -> None:
    """Write one event of level warning."""
    event(name, level=logging.WARNING, **fields)


def error(name: str, /, **fields: FieldValue) -> None:
    """Write one event of level error."""
    event(name, level=logging.ERROR, **fields)


def kind_and_place(fault: BaseException) -> str:
    """Return what may be logged of an exception that might quote a dataset."""
    place = traceback.extract_tb(fault.__traceback__)[-1]
    return f"{type(fault).__name__} in {Path(place.filename).name}:{place.lineno}"


class _JsonLines(logging.Formatter):
    def __init__(self, *, hash_uids: bool) -> None:
        super().__init__()
        self._hash_uids = hash_uids

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, FieldValue] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        fields: dict[str, FieldValue] = getattr(record, "node_fields", {})
        for name, value in fields.items():
            if value is None:
                continue
            if self._hash_uids and name in _UID_FIELDS:
                line[name] = digest(str(value))[:16]
            else:
                line[name] = value
        return json.dumps(line, ensure_ascii=True)

"""The supervisor's last resort: a fault in one part of a turn ends no process."""

from __future__ import annotations

import time
from collections.abc import Callable

from dicom_node import log

_PAUSE_S = 1.0
"""A fault that stays is met once a second, and not twenty times."""


def run_guarded(part: Callable[[float], None], now_s: float) -> None:
    """Run one part of a turn; log what it raises, and go on with the next one.

    All processes hang on the supervisor, and what breaks it once might break it at
    every start. A part keeps what it could not do, and does it in a later turn.

    Parameters
    ----------
    now_s
        Monotonic time.
    """
    try:
        part(now_s)
    except Exception as error:  # noqa: BLE001 - the supervisor's loop
        log.error(
            "supervisor_fault",
            error_code="internal-error",
            reason=log.kind_and_place(error),
            retry_s=_PAUSE_S,
        )
        time.sleep(_PAUSE_S)

"""Which processes tell the coverage what lines they ran."""

from __future__ import annotations

import os

_TRACE = "COVERAGE_PROCESS_CONFIG"
"""Set by coverage: a Python process that finds it traces its lines."""


def untraced() -> dict[str, str]:
    """Return the environment of a process that is not traced.

    Tracing doubles the time of a process. Those that run what other tests run, too,
    do without.
    """
    return {name: value for name, value in os.environ.items() if name != _TRACE}

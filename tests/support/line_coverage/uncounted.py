"""Which processes tell what lines they ran."""

from __future__ import annotations

import os

from tests.support.line_coverage.sitecustomize import COUNTS


def uncounted() -> dict[str, str]:
    """Return the environment of a process whose lines are not counted.

    Counting costs each process a second at its start. Those that run what other tests
    run, too, do without.
    """
    return {name: value for name, value in os.environ.items() if name != COUNTS}

"""Which processes and calls tell the coverage what lines they ran."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_TRACE = "COVERAGE_PROCESS_CONFIG"
"""Set by coverage: a Python process that finds it traces its lines."""


def untraced() -> dict[str, str]:
    """Return the environment of a process that is not traced.

    Tracing doubles the time of a process. Those that run what other tests run, too,
    do without.
    """
    return {name: value for name, value in os.environ.items() if name != _TRACE}


def untraced_call(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function during which the coverage of this thread is paused.

    For what makes or reads the files of a test: the coverage traces every line of the
    libraries that do so, only to leave it out.
    """

    @functools.wraps(function)
    def paused(*args: P.args, **kwargs: P.kwargs) -> R:
        trace: Any = sys.gettrace()
        if trace is None:
            return function(*args, **kwargs)
        sys.settrace(None)
        try:
            return function(*args, **kwargs)
        finally:
            sys.settrace(trace)
            sys._getframe().f_trace = trace  # it sees this function's end, too

    return paused

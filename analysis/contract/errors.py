"""Errors that an analysis raises on purpose."""

from __future__ import annotations


class AnalysisError(Exception):
    """Base of every error that an analysis raises on purpose."""


class UnsuitableInput(AnalysisError):  # noqa: N818 - house word for an outcome, not a fault
    """The picture cannot bear this analysis; a final answer, not a fault.

    Parameters
    ----------
    code
        Stable word in `snake_case` on which a site may write rules.
    text
        One sentence for people: what was found and which limit it broke.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class AnalysisFailed(AnalysisError):  # noqa: N818 - see UnsuitableInput
    """The analysis itself is at fault: missing weights, broken invariant."""


class OutOfResources(AnalysisError):  # noqa: N818 - see UnsuitableInput
    """Memory or device gave out; trying again may help."""

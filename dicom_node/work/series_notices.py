"""What a reader must know of how a series came."""

from __future__ import annotations

from analysis.contract.result import Notice
from dicom_node.records import Completion, ReceivedSeries


def notices_about(series: ReceivedSeries) -> tuple[Notice, ...]:
    """Return what a reader must know of how the series came."""
    notices = []
    if series.transfer_interrupted:
        text = (
            "The transfer of this series broke off and was not repeated; "
            f"{len(series.instances)} instances were analysed."
        )
        notices.append(Notice(code="transfer_interrupted", text=text))
    elif series.completion is Completion.MAX_WAIT:
        text = (
            "The series was still arriving when the longest wait was over; "
            f"{len(series.instances)} instances were analysed."
        )
        notices.append(Notice(code="maybe_incomplete", text=text))
    if series.conflicts:
        text = (
            f"{len(series.conflicts)} instances came more than once with different "
            "content; the one that came last was analysed."
        )
        notices.append(Notice(code="instance_conflict", text=text))
    if series.revision > 1:
        text = (
            f"Revision {series.revision} of this series: supersedes the results of "
            "what it held before."
        )
        notices.append(Notice(code="revised", text=text))
    return tuple(notices)

"""Counters that stand at 0 before anything has happened.

Prometheus sees an increase only where it has seen a value before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom_node.jobs.running_step import StepKind
from dicom_node.jobs.step_outcome import Verdict
from dicom_node.node.tally import Tally
from dicom_node.node.worker_slot import BROKEN_OFF
from dicom_node.node_report import Counted
from dicom_node.receive.access import AccessRefusal
from dicom_node.receive.association_slots import SlotRefusal
from dicom_node.receive.negotiation import REJECTIONS
from dicom_node.records import Completion

if TYPE_CHECKING:
    from dicom_node.settings.sections import Settings

SENT_AGAIN = "sent-again"
"""Stands for the evidence of a series of which every instance came once more."""
RELOADED, REFUSED = "reloaded", "refused"
"""What became of a request to read the settings again."""
_VERDICTS = (*(verdict.value for verdict in Verdict), BROKEN_OFF)


def first_counts(settings: Settings) -> Tally:
    """Return a tally that expects what the settings and our own words name."""
    tally = Tally()
    expect_peers(tally, settings)
    refusals = (one.value for one in (*SlotRefusal, *AccessRefusal))
    for reason in (*REJECTIONS.values(), *refusals):
        tally.expect(Counted.REJECTED_ASSOCIATIONS, reason)
    for evidence in Completion:
        if evidence is not Completion.OFFLINE:
            tally.expect(Counted.SERIES, evidence.value)
    tally.expect(Counted.SERIES, SENT_AGAIN)
    for kind in StepKind:
        for verdict_name in _VERDICTS:
            tally.expect(Counted.STEPS, kind.value, verdict_name)
    for outcome in (RELOADED, REFUSED):
        tally.expect(Counted.RELOADS, outcome)
    return tally


def expect_peers(tally: Tally, settings: Settings) -> None:
    """Let a tally expect the peers of some settings."""
    for peer in settings.peers.values():
        tally.expect(Counted.INSTANCES, peer.ae_title)
        tally.expect(Counted.BYTES, peer.ae_title)
    for name in settings.receivers:
        for verdict in (Verdict.DONE, Verdict.AGAIN, Verdict.FAILED):
            tally.expect(Counted.DELIVERIES, name, verdict.value)

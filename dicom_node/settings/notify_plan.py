"""What notification needs of the settings."""

from __future__ import annotations

from dicom_node.node_report import NotifyPlan, SilentPlan, WorkingTime
from dicom_node.settings.sections import Settings
from dicom_node.settings.watch_sections import WEEKDAYS

_GIB = 2**30
_HOUR_S = 3600.0
_BEFORE_REFUSAL = 1.5
"""Left out, the disk is low when so many times as much is free as is to be kept."""


def notify_plan(settings: Settings) -> NotifyPlan | None:
    """Return the plan; None if nobody is to be notified."""
    notify = settings.notify
    if notify is None:
        return None
    below_gb = notify.disk_below_gb
    if below_gb is None:
        below_gb = _BEFORE_REFUSAL * settings.spool.min_free_gb
    return NotifyPlan(
        urls_file=notify.urls_file,
        every_s=notify.every_s,
        failed_jobs=notify.failed_jobs,
        disk_below_bytes=round(below_gb * _GIB),
        unreachable_s=notify.unreachable_h * _HOUR_S,
        silent=_silent(settings),
        zone=settings.node.zone,
    )


def _silent(settings: Settings) -> SilentPlan | None:
    silent = settings.notify and settings.notify.silent_sender
    if not silent:
        return None
    senders = {
        peer.ae_title: name
        for name, peer in settings.peers.items()
        if (peer.may_send if silent.peers is None else name in silent.peers)
    }
    return SilentPlan(
        senders=senders,
        after_s=silent.after_h * _HOUR_S,
        working_time=WorkingTime(
            weekdays=frozenset(map(WEEKDAYS.index, silent.days)),
            from_hour=silent.from_hour,
            to_hour=silent.to_hour,
            zone=settings.node.zone,
        ),
    )

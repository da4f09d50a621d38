"""The thread of `ops` that looks now and then, and tells a person what has changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from dicom_node import log
from dicom_node.node_report import MOST_ADDRESSES
from dicom_node.ops.notification import Digest, body_of, digest_of, title_of
from dicom_node.ops.notification_sender import send
from dicom_node.ops.notification_state import Memory
from dicom_node.ops.notification_watch import NotificationWatch

if TYPE_CHECKING:
    from pathlib import Path

    from dicom_node.node_report import NodeReport, NotifyPlan, OpsPlan
    from dicom_node.ops.notification_state import Told

URLS = "LUMBAR_NODE_NOTIFY_URLS"
_LOOK_S = 30.0
_REST = 100.0
"""So many times as long as its processor time no look is taken again: 1 % of a core."""
_LONGEST_REST_S = 60.0
_LONGEST_PAUSE_S = 3600.0
_MOST_BYTES = 64 * 1024

Send = Callable[[str, str, str], str]
"""Address, title and text to the reason why it was not taken."""


def addresses(
    urls_file: Path | None, environment: Mapping[str, str] = os.environ
) -> list[str]:
    """Return where messages go.

    Raises
    ------
    OSError
        If the file cannot be read.
    UnicodeDecodeError
        If it is no text.
    """
    text = environment.get(URLS, "") if urls_file is None else _read(urls_file)
    lines = text.split() if urls_file is None else map(str.strip, text.splitlines())
    found = [line for line in lines if line and not line.startswith("#")]
    return list(dict.fromkeys(found))[:MOST_ADDRESSES]


class Notifier:
    """Tells each address, not too often, what is new and what is over.

    Parameters
    ----------
    environment
        Holds the addresses if no file does.
    """

    def __init__(
        self,
        plan: OpsPlan,
        notify: NotifyPlan,
        *,
        transmit: Send = send,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._plan = plan
        self._notify = notify
        self._transmit = transmit
        self._environment = environment
        self._memory = Memory(plan.spool_folder)
        self._watch = NotificationWatch(plan, notify, self._memory)
        self._again_s: dict[str, float] = {}
        self._pauses_s: dict[str, float] = {}
        self._complaint = ""

    def run(self, report: Callable[[], NodeReport | None]) -> None:
        """Look and tell, for ever.

        Parameters
        ----------
        report
            The supervisor's last one.
        """
        pause_s = min(_LOOK_S, self._notify.every_s)
        while True:
            begun_s = time.thread_time()
            self.turn(report(), time.time())
            rest_s = min(_REST * (time.thread_time() - begun_s), _LONGEST_REST_S)
            time.sleep(max(pause_s, rest_s))

    def turn(self, report: NodeReport | None, now_s: float) -> None:
        """Look, and tell those who are to be told now.

        Parameters
        ----------
        now_s
            POSIX time.
        """
        found = self._watch.look(report, now_s)
        addresses = self._addresses()
        self._memory.forget_others(addresses)
        for number, address in enumerate(addresses, start=1):
            told = self._memory.of(address)
            digest = digest_of(found.problems, told.problems, unknown=found.unknown)
            if digest.is_due and self._may_send(address, told, now_s):
                self._send(digest, number, address, now_s)
        self._memory.save()

    def _may_send(self, address: str, told: Told, now_s: float) -> bool:
        is_fresh = 0 <= now_s - told.sent_s < self._notify.every_s
        # A clock that was set back must not let an address wait for what it was.
        left_s = self._again_s.get(address, now_s) - now_s
        return not is_fresh and not 0 < left_s <= _LONGEST_PAUSE_S

    def _send(self, digest: Digest, number: int, address: str, now_s: float) -> None:
        scheme = "".join(filter(str.isalnum, address.partition("://")[0]))[:16]
        which = f"address {number} ({scheme.lower()})"
        title = title_of(digest, self._plan.ae_title)
        why = self._transmit(address, title, body_of(digest))
        if why:
            first_s = min(2 * _LOOK_S, self._notify.every_s)
            pause_s = self._pauses_s.get(address, first_s)
            self._pauses_s[address] = min(2 * pause_s, _LONGEST_PAUSE_S)
            self._again_s[address] = now_s + pause_s
            log.warning(
                "notification_failed", reason=f"{which}: {why}", retry_s=pause_s
            )
            return
        self._pauses_s.pop(address, None)
        told = self._memory.of(address)
        told.sent_s = now_s
        over = {one.key for one in digest.over}
        kept = {key: one for key, one in told.problems.items() if key not in over}
        told.problems = {**kept, **{one.key: one for one in digest.new}}
        self._memory.save()  # whatever happens to this process next
        log.event("notification_sent", reason=f"{which}: {digest.counts}")

    def _addresses(self) -> list[str]:
        """Return where messages go; each time anew, so that a change needs no start."""
        path = self._notify.urls_file
        try:
            found = addresses(path, self._environment)
        except (OSError, UnicodeDecodeError) as error:
            self._complain(f"{path}: {type(error).__name__}")
            return []
        if not found:
            self._complain(f"neither notify.urls_file nor {URLS} holds an address")
        return found

    def _complain(self, why: str) -> None:
        if why != self._complaint:
            self._complaint = why
            log.error("notification_without_address", reason=why)


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES).decode()

"""Child processes that are started again when they die."""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import pkgutil
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from dicom_node import log

_SPAWN = multiprocessing.get_context("spawn")
"""A fork would carry the threads, locks and database connections of the parent."""

_PR_SET_PDEATHSIG = 1
"""Of prctl(2)."""

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_HEALTHY_S = 60.0
"""A child that lived this long starts again without a pause."""


class Child:
    """One process with a pipe to it, and the rule by which it is started again.

    Parameters
    ----------
    name
        In the log, such as `worker-0`.
    entry
        `module:function`, called in the child with its end of the pipe and then the
        arguments. By name, so that the supervisor imports nothing of what it needs.
    arguments
        Makes them for the start of this number, counted from 1.
    """

    def __init__(
        self,
        name: str,
        entry: str,
        arguments: Callable[[int], tuple[Any, ...]],
    ) -> None:
        self.name = name
        self.starts = 0
        self.deaths = 0
        self.pipe: Connection | None = None
        self.exit_code: int | None = None
        self._entry = entry
        self._arguments = arguments
        self._process: BaseProcess | None = None
        self._started_s = 0.0
        self._pause_s = 0.0
        self._due_s = 0.0
        self._gone_by_s: float | None = None
        self._is_retired = False

    @property
    def sentinel(self) -> int | None:
        """What becomes ready when the child has ended; None while there is none."""
        return None if self._process is None else self._process.sentinel

    @property
    def pid(self) -> int | None:
        """Its process id; None while there is none."""
        return None if self._process is None else self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.is_alive()

    def start(self) -> None:
        """Start the process.

        Raises
        ------
        OSError
            If the machine has no descriptor, process or memory for it.
        """
        self.starts += 1
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(
            target=run_child,
            args=(self._entry, theirs, *self._arguments(self.starts)),
            name=self.name,
            daemon=True,
        )
        try:
            process.start()
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._process = process
        self.pipe = ours
        self._started_s = time.monotonic()
        log.event("process_started", process=self.name, pid=self.pid)

    def tend(self, now_s: float) -> bool:
        """Start the process again if it ended and its pause is over.

        Parameters
        ----------
        now_s
            Monotonic time.

        Returns
        -------
        bool
            Whether it was found dead just now.
        """
        if self._process is None:
            if now_s >= self._due_s and not self._is_retired:
                self._start_or_wait(now_s)
            return False
        if self._process.is_alive():
            if self._gone_by_s is not None and now_s > self._gone_by_s:
                self.kill()
            return False
        self._close(self._process, now_s)
        return True

    def _start_or_wait(self, now_s: float) -> None:
        """Start the process, later if the machine cannot do so now.

        The supervisor goes on: the other processes still receive and analyse.
        """
        try:
            self.start()
        except OSError as error:
            self._lengthen_pause(now_s)
            log.error(
                "process_not_started",
                process=self.name,
                reason=error.strerror or type(error).__name__,
                retry_s=self._pause_s,
            )

    def _lengthen_pause(self, now_s: float) -> None:
        longer_s = max(self._pause_s * 2, _FIRST_PAUSE_S)
        self._pause_s = min(longer_s, _LONGEST_PAUSE_S)
        self._due_s = now_s + self._pause_s

    def _close(self, process: BaseProcess, now_s: float) -> None:
        code = self.exit_code = process.exitcode
        process.join()
        process.close()
        self._process = None
        self._close_pipe()
        is_wanted = code == 0 or self._gone_by_s is not None
        if is_wanted or now_s - self._started_s > _HEALTHY_S:
            self._pause_s = 0.0
            self._due_s = now_s
        else:
            self._lengthen_pause(now_s)
        if not is_wanted:
            self.deaths += 1
        log.event(
            "process_ended",
            level=logging.INFO if is_wanted else logging.ERROR,
            process=self.name,
            status=code,
            retry_s=self._pause_s,
        )

    def retire(self, word: object, *, gone_by_s: float) -> None:
        """End the process for good; `tend` kills it if it is not gone in time.

        Parameters
        ----------
        word
            What tells it to end.
        gone_by_s
            Monotonic time.
        """
        self._is_retired = True
        self._gone_by_s = gone_by_s
        self.send(word)

    def start_soon(self) -> None:
        """End the pause before the next start: what it died of may be mended."""
        self._pause_s = self._due_s = 0.0

    def send(self, message: object) -> bool:
        """Send the child a message, and tell whether it was sent; never waits.

        Nothing is sent to a child that has died, or that is frozen and has let its
        pipe fill up.
        """
        if self.pipe is None or not _has_room(self.pipe):
            return False
        try:
            self.pipe.send(message)
        except OSError:
            return False
        return True

    def messages(self, *kinds: type[Any]) -> Iterator[Any]:
        """Yield what the child has sent; never waits.

        A child that sends anything else is killed, and started again as any other that
        has died.

        Parameters
        ----------
        kinds
            The classes of its messages.
        """
        pipe = self.pipe
        try:
            while pipe is not None and pipe.poll():
                message = pipe.recv()
                if not isinstance(message, kinds):
                    self._reject(message)
                    return
                yield message
        except (EOFError, OSError):
            self._close_pipe()  # it is ending, or ends when it sees this
        except Exception as error:  # noqa: BLE001 - unpickling may raise anything
            self._reject(error)

    def _close_pipe(self) -> None:
        if self.pipe is not None:
            self.pipe.close()
            self.pipe = None

    def _reject(self, what: object) -> None:
        log.error("message_unreadable", process=self.name, reason=type(what).__name__)
        self.kill()

    def kill(self) -> None:
        """End the child at once; safe in a signal handler."""
        if self.is_alive and self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)

    def end(self, timeout_s: float) -> None:
        """Wait for the child to end, and kill it if it does not."""
        if self._process is None:
            return
        self._process.join(max(0.0, timeout_s))
        if self._process.is_alive():
            log.warning("process_killed", process=self.name, pid=self.pid)
            self._process.kill()
            self._process.join()


def run_child(entry: str, pipe: Connection, *args: Any) -> None:
    """Run in the child: end with the parent, and leave Ctrl-C and SIGHUP to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _die_with_parent()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(
            target=_end_with, args=(parent.sentinel,), name="parent", daemon=True
        ).start()
    pkgutil.resolve_name(entry)(pipe, *args)


def _has_room(pipe: Connection) -> bool:
    """Tell whether a message, which is short, can be sent at once."""
    poller = select.poll()
    poller.register(pipe.fileno(), select.POLLOUT)
    return bool(poller.poll(0))


def _die_with_parent() -> None:
    """Let the kernel kill this process with the supervisor.

    A process that is frozen, or never lets its threads run, would not see that the
    supervisor has died, and would keep its port and acknowledge what nobody hears of.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with(parent_sentinel: int) -> None:
    wait([parent_sentinel])
    os._exit(1)

"""A PACS that sends one series until every instance of it was acknowledged."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from io import BytesIO

import numpy as np
from pydicom import Dataset, dcmread
from pynetdicom import AE, evt
from pynetdicom.association import Association

from analysis.contract.geometry import Frame
from tests.support.mr_series import build_series
from tests.support.peers import HOST
from tests.support.spine_phantom import SAGITTAL

CALLING_AE = "SENDER"
_SIDE = 16
_ANSWER_S = 6.0
_AGAIN_S = 0.5


class Way(StrEnum):
    """How a series is sent."""

    WHOLE = "in one association"
    SPLIT = "in two associations"
    ABORTED = "association aborted, sent again"
    BROKEN = "connection broken, sent again"
    ABANDONED = "association aborted, never sent again"
    CHANGED = "sent again with other content"


@dataclass
class SentSeries:
    """A series, and what the node has acknowledged of it.

    Parameters
    ----------
    versions
        Its contents, one after the other; all but `CHANGED` have one.
    lengths_mm
        What the phantom measures in each version: the distance of its slices.
    acknowledged
        SOP instance UIDs of the last version that were answered with success.
    """

    number: int
    way: Way
    versions: Sequence[Sequence[Dataset]]
    lengths_mm: Sequence[float]
    acknowledged: set[str] = field(default_factory=set)
    is_sent: bool = False

    @property
    def study_uid(self) -> str:
        """Its study, which no other series has."""
        return str(self.versions[0][0].StudyInstanceUID)

    @property
    def series_uid(self) -> str:
        """Its Series Instance UID."""
        return str(self.versions[0][0].SeriesInstanceUID)


def make_series(seed: str, number: int, way: Way) -> SentSeries:
    """Return a series of a few tiny slices, of one study of its own."""
    chance = random.Random(f"{seed} series {number}")
    slices = chance.randint(3, 6)
    lengths_mm = [4.0, 5.0] if way is Way.CHANGED else [4.0]
    versions = []
    for length_mm in lengths_mm:
        voxels = np.random.default_rng(number).uniform(0, 900, (slices, _SIDE, _SIDE))
        frame = Frame(
            origin_mm=np.zeros(3),
            directions=SAGITTAL,
            spacing_mm=np.array([length_mm, 1.0, 1.0]),
        )
        name = f"chaos {seed} {number}"
        made = build_series(voxels.astype(np.float32), frame, seed=name)
        versions.append([_as_read(instance) for instance in made])
    return SentSeries(number=number, way=way, versions=versions, lengths_mm=lengths_mm)


def _as_read(instance: Dataset) -> Dataset:
    """Return an instance as it comes from a file, so that it knows its encoding."""
    buffer = BytesIO()
    instance.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return dcmread(buffer)


class Sender(threading.Thread):
    """Sends one series, and sends again what was not acknowledged."""

    def __init__(self, series: SentSeries, port: int, chance: random.Random) -> None:
        super().__init__(daemon=True, name=f"series {series.number}")
        self._series = series
        self._port = port
        self._chance = chance
        self._gives_up = threading.Event()

    def give_up(self) -> None:
        """End at the next occasion, whatever was acknowledged."""
        self._gives_up.set()

    def run(self) -> None:
        """Send until everything is acknowledged."""
        series = self._series
        for version in series.versions:
            series.acknowledged.clear()
            self._send_version(version, series.way)
            if series.way is Way.CHANGED:
                time.sleep(self._chance.uniform(0.0, 3.0))
        series.is_sent = not self._gives_up.is_set()

    def _send_version(self, version: Sequence[Dataset], way: Way) -> None:
        faulty = way in (Way.ABORTED, Way.BROKEN, Way.ABANDONED, Way.SPLIT)
        cut_at = self._chance.randrange(1, len(version)) if faulty else len(version)
        while not self._gives_up.is_set():
            owed = [one for one in version if not self._is_acknowledged(one)]
            if not owed or (way is Way.ABANDONED and self._series.acknowledged):
                return
            if self._associate(owed[:cut_at], way):
                cut_at = len(version)  # from here on, it is sent as it should be
                way = Way.ABANDONED if way is Way.ABANDONED else Way.WHOLE
                self._gives_up.wait(self._chance.uniform(0.0, _AGAIN_S))
            else:
                self._gives_up.wait(_AGAIN_S)

    def _is_acknowledged(self, instance: Dataset) -> bool:
        return str(instance.SOPInstanceUID) in self._series.acknowledged

    def _associate(self, owed: Sequence[Dataset], way: Way) -> bool:
        """Send by one association; return whether one was had."""
        try:
            # pynetdicom forgets its socket when the connection is refused.
            socket.create_connection((HOST, self._port), 5).close()
        except OSError:
            return False
        ae = AE(ae_title=CALLING_AE)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = _ANSWER_S
        ae.connection_timeout = _ANSWER_S
        first = owed[0]
        ae.add_requested_context(
            str(first.SOPClassUID), str(first.file_meta.TransferSyntaxUID)
        )
        # pynetdicom leaves its socket open if the node closed first.
        sockets: list[socket.socket] = []
        association = ae.associate(
            HOST,
            self._port,
            ae_title="LUMBAR_AI",
            evt_handlers=[(evt.EVT_CONN_OPEN, lambda event: _note(event, sockets))],
        )
        try:
            if not association.is_established:
                return False
            self._store(association, owed)
            _close(association, way)
        finally:
            if association.is_alive():
                association.join(_ANSWER_S)
            for found in sockets:
                found.close()
        return True

    def _store(self, association: Association, owed: Sequence[Dataset]) -> None:
        for instance in owed:
            if not association.is_established:
                return
            try:
                status = association.send_c_store(instance)
            except (RuntimeError, ValueError):
                return  # the association has ended meanwhile
            if status.get("Status") == 0x0000:
                self._series.acknowledged.add(str(instance.SOPInstanceUID))
            time.sleep(self._chance.uniform(0.0, 0.1))


def _note(event: evt.Event, sockets: list[socket.socket]) -> None:
    wrapped = event.assoc.dul.socket
    if wrapped is not None and wrapped.socket is not None:
        sockets.append(wrapped.socket)


def _close(association: Association, way: Way) -> None:
    if not association.is_established:
        return
    if way in (Way.ABORTED, Way.ABANDONED):
        association.abort()
    elif way is Way.BROKEN:
        wrapped = association.dul.socket
        if wrapped is not None and wrapped.socket is not None:
            wrapped.socket.shutdown(socket.SHUT_RDWR)
    else:
        association.release()

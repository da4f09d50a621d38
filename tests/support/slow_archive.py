"""An archive that begins to answer and stops half-way, until it is let go."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
from pynetdicom.transport import ThreadedAssociationServer

from tests.support.peers import HOST, free_port

_PENDING = 0xFF00
_PAUSE_S = 0.2
_MODELS = (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)


class SlowArchive:
    """Answers C-FIND without an end, and C-GET and C-MOVE not to their end.

    Parameters
    ----------
    instance
        What C-GET sends before it falls silent.
    """

    ae_title = "SLOW"

    def __init__(self, instance: Dataset) -> None:
        self.port = free_port()
        self.answered = 0
        self.moved = 0
        self._instance = instance
        self._let_go = threading.Event()
        ae = AE(ae_title=self.ae_title)
        for model in _MODELS:
            ae.add_supported_context(model)
        ae.add_supported_context(
            instance.SOPClassUID,
            [ExplicitVRLittleEndian],
            scu_role=True,
            scp_role=True,
        )
        self._ae = ae
        self._server: ThreadedAssociationServer | None = None

    def __enter__(self) -> Self:
        self._server = self._ae.start_server(
            (HOST, self.port),
            block=False,
            evt_handlers=[
                (evt.EVT_C_FIND, self._find),
                (evt.EVT_C_GET, self._get),
                (evt.EVT_C_MOVE, self._move),
            ],
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._let_go.set()
        if self._server is not None:
            self._server.shutdown()

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        """Answer one match after the other: no read ever waits for long."""
        while not self._let_go.wait(_PAUSE_S):
            self.answered += 1
            yield _PENDING, event.identifier

    def _get(self, _event: evt.Event) -> Iterator[Any]:
        yield 2
        yield _PENDING, self._instance
        self._let_go.wait()

    def _move(self, _event: evt.Event) -> Iterator[Any]:
        self.moved += 1
        self._let_go.wait()
        yield None, None

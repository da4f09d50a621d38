"""An archive that answers queries and retrievals with statuses of one's choice."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
from pynetdicom.transport import ThreadedAssociationServer

from tests.support.peers import HOST, VERIFICATION, free_port

MODELS = {
    "C-FIND": StudyRootQueryRetrieveInformationModelFind,
    "C-GET": StudyRootQueryRetrieveInformationModelGet,
    "C-MOVE": StudyRootQueryRetrieveInformationModelMove,
}


class UnwillingArchive:
    """Answers with one status, and with nothing else.

    Parameters
    ----------
    services
        What it accepts at all.
    status
        Its answer to each.
    """

    def __init__(self, *services: str, status: int) -> None:
        self.port = free_port()
        self._status = status
        self._ae = AE(ae_title="UNWILLING")
        self._ae.add_supported_context(VERIFICATION)
        for service in services:
            self._ae.add_supported_context(MODELS[service])
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
        if self._server is not None:
            self._server.shutdown()

    def _find(self, _event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        yield self._status, None

    def _get(self, _event: evt.Event) -> Iterator[Any]:
        yield 1 if self._status else 0
        if self._status:
            yield self._status, None

    def _move(self, _event: evt.Event) -> Iterator[Any]:
        yield None, None  # a destination that it does not know: 0xA801

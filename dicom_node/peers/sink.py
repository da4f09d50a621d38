"""A Storage SCP for one command, which keeps what it gets in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pynetdicom import AE, _config, evt

from dicom_node.dimse.result_classes import RESULT_CLASSES
from dicom_node.dimse.status import SUCCESS
from dicom_node.errors import StartError


@contextmanager
def storage_sink(
    ae_title: str, *, host: str, port: int, folder: Path
) -> Iterator[None]:
    """Take results of every class while the context lasts.

    Files are written as they come, named by the order in which they came.

    Raises
    ------
    StartError
        If the port is taken.
    """
    _config.LOG_HANDLER_LEVEL = "none"
    entity = AE(ae_title=ae_title)
    for one in RESULT_CLASSES:
        entity.add_supported_context(one.sop_class_uid, list(one.syntaxes))

    def store(event: evt.Event) -> int:
        number = len(list(folder.iterdir())) + 1
        path = folder / f"{number:02d}.dcm"
        path.write_bytes(event.encoded_dataset())
        return SUCCESS

    try:
        server = entity.start_server(
            (host, port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]
        )
    except OSError as error:
        message = f"port {port} (node.test_port): {error.strerror}"
        raise StartError(message) from error
    try:
        yield
    finally:
        if server is not None:
            server.shutdown()

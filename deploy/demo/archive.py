"""A small archive: a Storage SCP that keeps what it is sent, and sends what it has.

It stands in for the PACS of the demo. It is no PACS: no database, no query, no rights.
"""

from __future__ import annotations

import argparse
import hashlib
import signal
import sys
from pathlib import Path

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.presentation import AllStoragePresentationContexts
from pynetdicom.sop_class import Verification

UNABLE_TO_PROCESS = 0xC000
"""PS3.4 table C.4-1 of the Storage service: failure, cannot understand."""


def keep(event: evt.Event, folder: Path) -> int:
    """Write one instance as it came, and answer with its DIMSE status."""
    uid = str(event.request.AffectedSOPInstanceUID)
    name = hashlib.sha256(uid.encode()).hexdigest()[:16]
    part = folder / f"{name}.part"
    try:
        part.write_bytes(event.encoded_dataset())
        part.rename(folder / f"{name}.dcm")
    except OSError:
        return UNABLE_TO_PROCESS
    return 0x0000


def serve(folder: Path, *, ae_title: str, port: int) -> None:
    """Listen on the loopback interface until a signal comes."""
    folder.mkdir(parents=True, exist_ok=True)
    ae = AE(ae_title=ae_title)
    ae.add_supported_context(Verification)
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(UID(str(context.abstract_syntax)))
    server = ae.start_server(
        ("127.0.0.1", port),
        block=False,
        evt_handlers=[(evt.EVT_C_STORE, keep, [folder])],
    )
    # The one line of standard output: where we listen.
    print(server.server_address[1], flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.shutdown()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ae-title", default="DEMO_PACS")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    # Blocked before any thread starts, so that only sigwait takes them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    serve(arguments.folder, ae_title=arguments.ae_title, port=arguments.port)
    sys.exit(0)


if __name__ == "__main__":
    main()

"""An archive of our own as a process: it writes what it is sent into a folder.

`python -m tests.chaos.recording_peer AE_TITLE PORT FOLDER`. It can be killed and frozen
at any moment: an instance is renamed into place before success is answered.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt

from tests.support.peers import HOST, RESULT_CLASSES, VERIFICATION


def main(ae_title: str, port: int, folder: Path) -> None:
    """Serve until killed."""
    folder.mkdir(parents=True, exist_ok=True)

    def store(event: evt.Event) -> int:
        uid = str(event.file_meta.MediaStorageSOPInstanceUID)
        partial = folder / f"{uid}.partial"
        partial.write_bytes(event.encoded_dataset())
        partial.rename(folder / f"{uid}.dcm")
        return 0x0000

    ae = AE(ae_title=ae_title)
    ae.add_supported_context(VERIFICATION)
    for sop_class in RESULT_CLASSES:
        ae.add_supported_context(
            sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
        )
    ae.start_server((HOST, port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))

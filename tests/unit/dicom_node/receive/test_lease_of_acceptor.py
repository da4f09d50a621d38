"""An acceptor whose machine may have been replaced acknowledges nothing."""

from __future__ import annotations

import time
from ctypes import c_double
from functools import partial
from multiprocessing import Pipe
from multiprocessing.sharedctypes import RawValue
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.dsutils import encode

from dicom_node.errors import SpoolFailedError
from dicom_node.receive.acceptor_process import _tell
from dicom_node.receive.events import EventPipe
from dicom_node.receive.write_instance import Inbox
from dicom_node.records import StoreRequest
from dicom_node.spool_layout import SpoolLayout
from tests.support.dicom_files import mr_instance


def stored(inbox: Inbox) -> None:
    """Store one instance as an association does."""
    instance = mr_instance(size=8)
    content = encode(instance, is_implicit_vr=False, is_little_endian=True)
    assert content is not None
    incoming = inbox.begin(
        StoreRequest(
            association_id="acceptor-0-1-1",
            calling_ae="PACS",
            sop_class_uid=str(instance.SOPClassUID),
            sop_instance_uid=str(instance.SOPInstanceUID),
            transfer_syntax_uid=str(ExplicitVRLittleEndian),
        )
    )
    incoming.write(memoryview(content))
    incoming.finish()


@pytest.mark.parametrize("left_s", [-1.0, 60.0])
def test_what_is_stored_after_the_lease_is_on_disk_and_refused(
    tmp_path: Path, left_s: float
) -> None:
    layout = SpoolLayout(tmp_path / "spool")
    layout.prepare()
    ours, theirs = Pipe()
    valid_until_s = RawValue(c_double, time.monotonic() + left_s)
    inbox = Inbox(
        layout,
        min_free_bytes=0,
        stored=partial(_tell, EventPipe(theirs), valid_until_s),
    )
    if left_s > 0:
        stored(inbox)
        assert ours.poll(5)
    else:
        with pytest.raises(SpoolFailedError, match="no longer be the one"):
            stored(inbox)
        assert not ours.poll(0.2)
    # Whoever takes over reads it from there.
    assert len(list(layout.inbox.glob("*/*.dcm"))) == 1

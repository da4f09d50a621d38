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
from dicom_node.spool_identity import SpoolIdentity
from dicom_node.spool_layout import NODE_ID, SpoolLayout
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


def spool_in(folder: Path, spool_id: str = "ours") -> SpoolLayout:
    layout = SpoolLayout(folder / "spool")
    layout.prepare()
    (layout.folder / NODE_ID).write_text(spool_id)
    return layout


@pytest.mark.parametrize("left_s", [-1.0, 60.0])
def test_what_is_stored_after_the_lease_is_on_disk_and_refused(
    tmp_path: Path, left_s: float
) -> None:
    layout = spool_in(tmp_path)
    ours, theirs = Pipe()
    valid_until_s = RawValue(c_double, time.monotonic() + left_s)
    spool = SpoolIdentity(layout)
    inbox = Inbox(
        layout,
        min_free_bytes=0,
        stored=partial(_tell, EventPipe(theirs), valid_until_s, spool),
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


@pytest.mark.parametrize("is_one_of_several", [True, False])
def test_what_is_stored_where_the_shared_spool_was_mounted_is_refused(
    tmp_path: Path, *, is_one_of_several: bool
) -> None:
    layout = spool_in(tmp_path)
    ours, theirs = Pipe()
    until_s = RawValue(c_double, time.monotonic() + 60) if is_one_of_several else None
    inbox = Inbox(
        layout,
        min_free_bytes=0,
        stored=partial(_tell, EventPipe(theirs), until_s, SpoolIdentity(layout)),
    )
    layout.folder.rename(tmp_path / "unmounted")
    spool_in(tmp_path, "of the disk below")
    if is_one_of_several:
        with pytest.raises(SpoolFailedError, match="the shared spool is gone"):
            stored(inbox)
    else:
        stored(inbox)
    assert ours.poll(0.2) is not is_one_of_several

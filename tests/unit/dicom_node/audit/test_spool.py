"""Audit messages on a disk that fails."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dicom_node.audit.spool import AuditSpool


def test_a_message_that_a_full_disk_does_not_take_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = AuditSpool(tmp_path, most=10)
    spool.put(b"the first")

    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    for _ in range(3):
        with pytest.raises(OSError, match="No space"):
            spool.put(b"lost")
    assert len(list(tmp_path.iterdir())) == spool.count() == 1

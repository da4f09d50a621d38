"""How long a start reads the spool: by what manifests vouch for, and by every byte.

The second is what version 0.1.0 did with all files, and is done still with those of
series that were not yet complete.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from dicom_node.receive.write_instance import Inbox
from dicom_node.records import Completion, ReceivedSeries, StoredInstance, StoreRequest
from dicom_node.series.manifest import mark_owed, write_pending
from dicom_node.series.spool_content import read_spool
from dicom_node.spool_layout import SpoolLayout
from tests.support.dicom_files import encoded, mr_instance

SERIES, INSTANCES, SIDE = 100, 20, 512
_MIB = 2**20


def main() -> None:
    """Fill a spool, read it, and say how long that took."""
    with tempfile.TemporaryDirectory() as folder:
        layout = SpoolLayout(Path(folder))
        layout.prepare()
        stored: list[StoredInstance] = []
        inbox = Inbox(
            layout, min_free_bytes=0, stored=lambda _request, one: stored.append(one)
        )
        for number in range(SERIES):
            _store(inbox, f"series {number}")
        size_mib = sum(one.size_bytes for one in stored) / _MIB
        print(f"{len(stored)} instances, {size_mib:.0f} MiB")
        print(f"every byte: {_seconds(layout):.2f} s")
        for first in range(0, len(stored), INSTANCES):
            _complete(layout, tuple(stored[first : first + INSTANCES]))
        print(f"by manifests: {_seconds(layout):.2f} s")


def _store(inbox: Inbox, series: str) -> None:
    for number in range(INSTANCES):
        dataset = mr_instance(number, study=series, size=SIDE)
        request = StoreRequest(
            association_id="a-1",
            calling_ae="PACS",
            sop_class_uid=str(dataset.SOPClassUID),
            sop_instance_uid=str(dataset.SOPInstanceUID),
            transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
        )
        incoming = inbox.begin(request)
        incoming.write(memoryview(encoded(dataset)))
        incoming.finish()


def _complete(layout: SpoolLayout, instances: tuple[StoredInstance, ...]) -> None:
    series = ReceivedSeries(
        study_uid=instances[0].study_uid,
        series_uid=instances[0].series_uid,
        calling_ae="PACS",
        instances=instances,
        digest=instances[0].sha256,
        completion=Completion.RELEASED_AND_QUIET,
    )
    write_pending(layout, series)
    mark_owed(layout, series)


def _seconds(layout: SpoolLayout) -> float:
    times = []
    for _ in range(3):
        started_s = time.perf_counter()
        read_spool(layout)
        times.append(time.perf_counter() - started_s)
    return float(np.median(times))


if __name__ == "__main__":
    main()

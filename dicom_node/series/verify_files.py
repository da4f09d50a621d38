"""What was acknowledged is verified when it is used, not when the node starts."""

from __future__ import annotations

from dicom_node.errors import (
    InstanceDamagedError,
    InstanceMissingError,
    InstanceRefusedError,
    MachineTroubleError,
)
from dicom_node.records import ReceivedSeries, StoredInstance
from dicom_node.series.spool_content import read_instance

_REMEDY = "send the series again"


def verify_files(series: ReceivedSeries) -> None:
    """Compare the files of a series with what was received.

    Raises
    ------
    InstanceMissingError
        If files of the series have gone.
    InstanceDamagedError
        If files hold something else.
    MachineTroubleError
        If the disk does not let them be read.
    """
    count = len(series.instances)
    lost = sum(not instance.path.is_file() for instance in series.instances)
    if lost:
        text = f"{lost} of {count} instances are no longer in the spool: {_REMEDY}"
        raise InstanceMissingError(text)
    damaged = sum(not _is_whole(instance) for instance in series.instances)
    if damaged:
        text = f"{damaged} of {count} instances are damaged on the disk: {_REMEDY}"
        raise InstanceDamagedError(text)


def _is_whole(instance: StoredInstance) -> bool:
    try:
        return read_instance(instance.path).sha256 == instance.sha256
    except InstanceRefusedError:
        return False
    except OSError as error:
        message = f"an instance cannot be read: {error.strerror}"
        raise MachineTroubleError(message) from error

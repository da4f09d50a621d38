"""Whose series it is, read by a process of its own, which ends.

The page's process does not load pydicom, and parses nothing that was sent here. The
name of one line of JSON comes in, the attributes of the patient go out.
"""

from __future__ import annotations

import json
import signal
import sys

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from dicom_node.log import silence_libraries

_LIMIT_S = 20
_MOST_CHARS = 200
_KEYWORDS = ("PatientName", "PatientID", "PatientBirthDate")


def main() -> None:
    """Read the file that standard input names, and tell its patient."""
    signal.alarm(_LIMIT_S)
    silence_libraries()
    path = json.loads(sys.stdin.readline())["path"]
    try:
        dataset = dcmread(path, stop_before_pixels=True, specific_tags=list(_KEYWORDS))
        told = {
            keyword: str(dataset.get(keyword, ""))[:_MOST_CHARS]
            for keyword in _KEYWORDS
        }
    except (OSError, InvalidDicomError, ValueError, TypeError, LookupError):
        told = {}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()

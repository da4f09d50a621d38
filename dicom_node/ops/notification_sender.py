"""Sends one message to one address, in a process that lives for it alone.

A server that hangs or answers rubbish has this process, and for a limited time; the
library and what it leaves in memory go with it. The address comes by standard input,
for it holds passwords, and nothing is printed of it.
"""

from __future__ import annotations

import ctypes
import json
import logging
import signal
import subprocess
import sys
import warnings

WITHIN_S = 60.0
_TAKEN, _NOT_TAKEN, _NO_ADDRESS = 0, 3, 4
_PR_SET_PDEATHSIG = 1
"""Of prctl(2)."""


def send(address: str, title: str, body: str, *, within_s: float = WITHIN_S) -> str:
    """Send a message, and return why it was not taken; empty if it was."""
    order = json.dumps({"address": address, "title": title, "body": body})
    try:
        done = subprocess.run(  # noqa: S603 - our own program, and no shell
            [sys.executable, "-m", __name__],
            input=order.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=within_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {within_s:g} s"
    except OSError as error:
        return error.strerror or type(error).__name__
    if done.returncode == _NO_ADDRESS:
        return "no address that apprise knows"
    return "" if done.returncode == _TAKEN else "not taken"


def is_known(address: str) -> bool:
    """Tell whether an address is one that apprise can write to; nothing is sent."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # it would quote the address
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the library, about what it imports
            from apprise import Apprise

            return Apprise.instantiate(address) is not None
    finally:
        logging.disable(disabled)


def main() -> int:
    """Send what standard input orders, and return the exit code."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    logging.disable(logging.CRITICAL)  # it would quote the address
    from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType

    order = json.load(sys.stdin)
    asset = AppriseAsset(
        app_id="lumbar-node",
        app_desc="lumbar-node",
        app_url="",
        # Most redirects are followed without the message, which would count as taken.
        http_redirects=False,
    )
    service = Apprise(asset=asset)
    if not service.add(order["address"]):
        return _NO_ADDRESS
    is_taken = service.notify(
        title=order["title"],
        body=order["body"],
        notify_type=NotifyType.WARNING,
        body_format=NotifyFormat.TEXT,
    )
    return _TAKEN if is_taken else _NOT_TAKEN


if __name__ == "__main__":
    sys.exit(main())

"""The sender and the sink of `lumbar-node test`, which every node knows.

The command sends under a title of its own, which is believed from this machine alone.
What is measured for that title goes to the command's sink, and to no peer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dicom_node.settings.sections import Peer, Receiver, Settings

TEST_TITLE = "LUMBAR_TEST"
TEST_PEER = "self-test"
_SINK_HOST = "127.0.0.1"
_SINK_TIMEOUT_S = 10.0


def sink(settings: Settings) -> Peer:
    """Return where the results of a test go."""
    from dicom_node.settings.sections import Peer

    return Peer(
        ae_title=TEST_TITLE,
        host=_SINK_HOST,
        port=settings.node.test_port,
        timeout_s=_SINK_TIMEOUT_S,
    )


def receiver_of(name: str, settings: Settings) -> Receiver | None:
    """Return the peer to which results go under a name; None if there is none."""
    if name == TEST_PEER:
        return sink(settings)
    return settings.receivers.get(name)


def receivers(calling_ae: str, configured: Sequence[str]) -> tuple[str, ...]:
    """Return to whom the results of what a title has sent go."""
    return (TEST_PEER,) if calling_ae == TEST_TITLE else tuple(configured)

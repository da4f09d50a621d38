"""The process that answers `/live`, `/ready` and `/metrics`, as the supervisor sees it.

The supervisor starts it again when it dies, and hands it numbers once a second. It does
not wait for it, and asks nothing of it: killed or frozen, it costs the node nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from dicom_node.node.children import Child
from dicom_node.node_report import ChildReport, NodeReport

if TYPE_CHECKING:
    from dicom_node.node.tally import Tally
    from dicom_node.node_report import OpsPlan

_OPS = "dicom_node.ops.ops_process:run_ops"
_REPORT_EVERY_S = 1.0


class OpsChild:
    """Starts `ops` and reports to it.

    Parameters
    ----------
    children
        Tells how all processes of the node stand.

    Attributes
    ----------
    child
        The process: to be started and ended like any other.
    """

    def __init__(
        self,
        plan: OpsPlan,
        tally: Tally,
        children: Callable[[], Iterable[ChildReport]],
    ) -> None:
        def arguments(_start: int) -> tuple[Any, ...]:
            return (plan,)

        self.child = Child("ops", _OPS, arguments)
        self._tally = tally
        self._children = children
        self._report_at_s = float("-inf")

    def turn(self, now_s: float) -> None:
        """Replace the process if it has died, and report if it is time.

        A report that the process has no room for is not sent; the next one says more.

        Parameters
        ----------
        now_s
            Monotonic time.
        """
        self.child.tend(now_s)
        for _ in self.child.messages():
            pass  # it has nothing to say, and is ended if it does
        if now_s >= self._report_at_s:
            self._report_at_s = now_s + _REPORT_EVERY_S
            self.child.send(
                NodeReport(
                    turned_at_s=now_s,
                    children=tuple(self._children()),
                    counts=self._tally.counts(),
                    times=self._tally.times(),
                    analyses=self._tally.analyses,
                )
            )


def report_of(child: Child, *, heard_at_s: float | None = None) -> ChildReport:
    """Return how one process stands."""
    return ChildReport(
        name=child.name,
        pid=child.pid,
        starts=child.starts,
        deaths=child.deaths,
        heard_at_s=heard_at_s,
    )

"""A plan of `ops` for tests that run none, or run it without a node."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from dicom_node.node_report import OpsPlan

_PLAN = OpsPlan(
    bind="127.0.0.1",
    port=1,
    hosts=frozenset({"127.0.0.1"}),
    ae_title="LUMBAR_AI",
    node_host="127.0.0.1",
    node_port=1,
    node_tls=None,
    certificates={},
    spool_folder=Path("/"),
    min_free_bytes=1000,
    database_url="sqlite:////nowhere/node.sqlite",
    oldest_job_s=3600.0,
)


def plan_for(**changes: Any) -> OpsPlan:
    """Return a plan with some of its values changed."""
    return replace(_PLAN, **changes)

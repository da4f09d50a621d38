"""The sections of `node.yaml` by which others watch the node."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from dicom_node.settings.section import Section
from dicom_node.settings.value_types import HostName, Port


class Ops(Section):
    """Where health and metrics are told over HTTP."""

    bind: Annotated[str, StringConstraints(min_length=1)] = Field(
        default="127.0.0.1",
        description="There is no password: on another address than loopback, whoever "
        "reaches the port reads AE titles and figures, and no patient data.",
    )
    port: Port = 11180
    hosts: list[HostName] = Field(
        default_factory=list,
        description="Names by which others call this machine; a request for another "
        "host is refused. Loopback and bind need not be listed.",
    )
    oldest_job_h: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        default=4.0,
        description="The node is not ready while a job is older and not settled, even "
        "if it is a peer that does not take its results.",
    )

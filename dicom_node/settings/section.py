"""The base of every section of `node.yaml`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of every section: a misspelt key is an error, a value never changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

"""The URL of the job database, with the driver by which it is opened."""

from __future__ import annotations

import sqlalchemy as sa


def with_driver(url: str) -> sa.URL:
    """Return the URL with the driver that DBOS uses, too."""
    parsed = sa.make_url(url)
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    return parsed

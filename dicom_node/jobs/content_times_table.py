"""When each content was first accepted, for a node on several machines.

The file `content-times.sqlite` of the spool is for one machine: no shared file system
warrants the locks of SQLite.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from dicom_node.errors import JobDatabaseError
from dicom_node.jobs.database_reason import why
from dicom_node.jobs.machines import engine_for, start_lock

_METADATA = sa.MetaData()
_TIMES = sa.Table(
    "lumbar_node_content_time",
    _METADATA,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("accepted_at_s", sa.Double, nullable=False),
)


class ContentTimesTable:
    """Keeps the times for good.

    Raises
    ------
    JobDatabaseError
        If the database cannot be read or written.
    """

    def __init__(self, database_url: str) -> None:
        self._engine = engine_for(database_url)
        self._is_made = False

    def first_accepted_s(self, digest: str, accepted_at_s: float) -> float:
        """Return when a content was first accepted; note it if that is now.

        Parameters
        ----------
        digest
            Of the content, as in `ReceivedSeries`.
        accepted_at_s
            POSIX time of this acceptance.
        """
        noted = (
            postgresql.insert(_TIMES)
            .values(digest=digest, accepted_at_s=accepted_at_s)
            .on_conflict_do_nothing()
        )
        known = sa.select(_TIMES.c.accepted_at_s).where(_TIMES.c.digest == digest)
        try:
            if not self._is_made:
                with start_lock(self._engine) as connection:
                    _METADATA.create_all(connection)
                self._is_made = True
            with self._engine.begin() as connection:
                connection.execute(noted)
                return float(connection.execute(known).scalar_one())
        except sa.exc.SQLAlchemyError as error:
            message = f"the content times cannot be kept: {why(error)}"
            raise JobDatabaseError(message) from error

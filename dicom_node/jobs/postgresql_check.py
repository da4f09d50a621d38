"""Whether a node could use a database of PostgreSQL; nothing in it is changed."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from dicom_node.errors import JobDatabaseError
from dicom_node.jobs.database_reason import why
from dicom_node.jobs.machines import engine_for

_STATE = sa.text(
    "SELECT current_database() AS name, current_user AS user_name,"
    " current_setting('server_version') AS version,"
    " current_setting('transaction_read_only') = 'on' AS is_read_only,"
    " to_regclass('dbos.workflow_status') IS NOT NULL AS is_made,"
    " has_database_privilege(current_database(), 'CREATE') AS may_make_schemas,"
    " coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"
    " AS may_make_tables"
)


class DatabaseState(NamedTuple):
    """What a database says of itself.

    Parameters
    ----------
    obstacle
        Why a node cannot use it; empty if it can.
    """

    text: str
    obstacle: str


def postgresql_state(database_url: str) -> DatabaseState:
    """Ask a database whether a node may write in it, or make its tables.

    Raises
    ------
    JobDatabaseError
        If it does not answer, with what the server or the driver says.
    """
    engine = engine_for(database_url, pool=sa.NullPool)
    try:
        with engine.connect() as connection:
            found = connection.execute(_STATE).one()
    except sa.exc.SQLAlchemyError as error:
        raise JobDatabaseError(why(error)) from error
    finally:
        engine.dispose()
    text = f"{found.name} in PostgreSQL {found.version}, as {found.user_name}"
    obstacle = ""
    if found.is_read_only:
        obstacle = "it is read-only, as a server that stands by is"
    elif not found.is_made and not found.may_make_schemas:
        obstacle = f"{found.user_name} may not make a schema: make it the owner"
    elif not found.may_make_tables:
        obstacle = (
            f"{found.user_name} may not make tables in the schema public: make it the "
            "owner of the database"
        )
    return DatabaseState(text, obstacle)

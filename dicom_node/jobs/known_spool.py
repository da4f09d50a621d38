"""Whose a job database in PostgreSQL is, asked before anything is made or taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from dicom_node.errors import JobDatabaseError, StartError
from dicom_node.jobs.database_reason import why
from dicom_node.jobs.machines import SeenMachine, engine_for, machine_rows
from dicom_node.jobs.node_lease import last_holder_id
from dicom_node.spool_identity import spool_id_in

if TYPE_CHECKING:
    from dicom_node.spool_layout import SpoolLayout

_WORK = "work"
STANDS_BY = "stands by"
"""What a machine tells that could receive."""


def refuse_foreign_spool(database_url: str, layout: SpoolLayout) -> None:
    """Refuse a spool folder that is not the one of the database, and make nothing.

    A machine on which the shared file system is not mounted finds an empty folder. If
    it were the first to start, it would receive into its own disk.

    Raises
    ------
    StartError
        If it is another one.
    JobDatabaseError
        If the database cannot be read.
    """
    alive, last = _asked(database_url)
    known = alive[0].spool_id if alive else last
    if known and known != spool_id_in(layout):
        text = (
            f"the spool folder {layout.folder} is not the one of this job database: "
            "spool.folder has to be the same shared folder on all machines; is it "
            "mounted? A spool that begins anew needs an empty database"
        )
        raise StartError(text)


def refuse_beside_machines(database_url: str) -> None:
    """Refuse to be a node of one machine where several machines have the database.

    Raises
    ------
    StartError
        If one of them lives.
    JobDatabaseError
        If the database cannot be read.
    """
    alive, _ = _asked(database_url)
    if alive:
        one = alive[0]
        text = (
            f"the job database is in use by machine {one.name} of a node on several "
            f"machines (`lumbar-node {one.role}`): `lumbar-node serve` would take its "
            "jobs; run `receive` and `work` here, too, or give a database of its own"
        )
        raise StartError(text)


def another_can(database_url: str, name: str, role: str) -> bool:
    """Tell whether another machine than the named one can do what this one does.

    Raises
    ------
    JobDatabaseError
        If the database cannot be read.
    """
    alive, _ = _asked(database_url)
    others = [one for one in alive if one.role == role and one.name != name]
    return any(role == _WORK or one.told == STANDS_BY for one in others)


def _asked(database_url: str) -> tuple[list[SeenMachine], str]:
    """Return the machines that live, and the id of the spool that was received into."""
    engine = engine_for(database_url, pool=sa.NullPool)
    try:
        rows = machine_rows(engine)
        last = last_holder_id(engine).partition("/")[0]
    except sa.exc.SQLAlchemyError as error:
        message = f"the job database failed: {why(error)}"
        raise JobDatabaseError(message) from error
    finally:
        engine.dispose()
    return [one for one in rows if one.is_alive], last

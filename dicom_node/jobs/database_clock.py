"""Delays by the clock of the database, for those of machines may be minutes apart.

DBOS 3.4 adds a delay to the clock of the machine that enqueues, and compares the sum
with the clock of the machine that looks. On several machines a retry would come minutes
late, or at once. A clock that was a year ahead, and is set right, would put off for a
year what was enqueued meanwhile: what is put off for longer than we ever ask is due.
"""

from __future__ import annotations

import time

import sqlalchemy as sa
from dbos import _dbos
from dbos._sys_db import SystemDatabase

from dicom_node.jobs.delivery_retry import LONGEST_PAUSE_S

_MS = 1000.0
_POSTGRESQL = "postgresql"
_LONGEST_MS = 2 * LONGEST_PAUSE_S * _MS
"""Twice, for the clocks of machines are apart, and small steps are not worth it."""


def delay_s(pause_s: float | None) -> float | None:
    """Return what DBOS has to add to the clock of this machine for a pause.

    Parameters
    ----------
    pause_s
        None and 0 are no delay.
    """
    if not pause_s:
        return None
    engine = _system_database().engine
    if engine.dialect.name != _POSTGRESQL:
        return pause_s
    with engine.connect() as connection:
        now_ms = connection.execute(sa.select(_now_ms())).scalar_one()
    return pause_s + float(now_ms) / _MS - time.time()


def use_database_clock() -> None:
    """Let what is due be so by the clock of the database; call after launch."""
    database = _system_database()
    table = database.tables.workflow_status
    until_ms = table.c.delay_until_epoch_ms

    def transition() -> None:
        is_shared = database.engine.dialect.name == _POSTGRESQL
        now_ms = _now_ms() if is_shared else sa.literal(round(time.time() * _MS))
        is_due = sa.or_(until_ms <= now_ms, until_ms > now_ms + round(_LONGEST_MS))
        due = (
            sa.update(table)
            .where(table.c.status == "DELAYED", is_due)
            .values(status="ENQUEUED")
        )
        with database.engine.begin() as connection:
            connection.execute(due)

    # In place of DBOS' own, whose only other part is for debounced workflows.
    setattr(database, "transition_delayed_workflows", transition)  # noqa: B010


def _now_ms() -> sa.ColumnElement[int]:
    return sa.cast(sa.func.extract("epoch", sa.func.now()) * _MS, sa.BigInteger)


def _system_database() -> SystemDatabase:
    return _dbos._get_dbos_instance()._sys_db

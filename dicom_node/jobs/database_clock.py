"""Delays by the clock of the database, for those of machines may be minutes apart.

DBOS 3.4 adds a delay to the clock of the machine that enqueues, and compares the sum
with the clock of the machine that looks. On several machines a retry would come minutes
late, or at once.
"""

from __future__ import annotations

import time

import sqlalchemy as sa
from dbos import _dbos
from dbos._sys_db import SystemDatabase

_MS = 1000.0
_POSTGRESQL = "postgresql"


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
    if database.engine.dialect.name != _POSTGRESQL:
        return
    table = database.tables.workflow_status

    def transition() -> None:
        due = (
            sa.update(table)
            .where(
                table.c.status == "DELAYED", table.c.delay_until_epoch_ms <= _now_ms()
            )
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

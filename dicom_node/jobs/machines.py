"""The machines of a node: which of them live, and what becomes of a dead one's work.

Each role of each machine counts in a row of its own, and whoever counts looks at the
others, too. No clock is compared, for machines need not agree on the time: who counts
no more has died. Only PostgreSQL carries this; SQLite is for one machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self
from uuid import uuid4

import sqlalchemy as sa

from dicom_node import log
from dicom_node.errors import JobDatabaseError, NodeError, StartError
from dicom_node.jobs.database_reason import why
from dicom_node.jobs.database_url import with_driver

if TYPE_CHECKING:
    from dicom_node.jobs.dead_worker import LostWork

BEAT_S = 3.0
LOOKS = 5
"""In a row at which a count stands still before its machine is called dead."""
_RELEASE_S = 1.0
_WAITS = {"connect_timeout": "5", "tcp_user_timeout": "10000"}
"""In s and ms (libpq 34.1.2)."""
_START_LOCK = 0x6C756D626172
"""Of PostgreSQL's advisory locks, ours: one machine makes tables at a time."""
_FORGET_AFTER = "1 day"
_WORK = "work"
"""The role whose death leaves work."""

_METADATA = sa.MetaData()
_MACHINE = sa.Table(
    "lumbar_node_machine",
    _METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("role", sa.Text, primary_key=True),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("spool_id", sa.Text, nullable=False),
    sa.Column("beats", sa.BigInteger, nullable=False),
    sa.Column("beat_at", sa.TIMESTAMP(timezone=True), nullable=False),
    sa.Column("told", sa.Text, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One role of one machine.

    Parameters
    ----------
    host
        Changes with the machine and with each of its starts; for us to compare.
    spool_id
        Of the spool that it sees.
    """

    name: str
    role: str
    host: str
    spool_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRow:
    """How a machine stands, for people.

    Parameters
    ----------
    beat_age_s
        Since its last heartbeat, by the clock of the database.
    told
        What it says of itself: its device, or whether it receives or stands by.
    """

    name: str
    role: str
    is_alive: bool
    beat_age_s: float
    told: str


class _Own(NamedTuple):
    token: str
    beats: int
    host: str


@dataclass(slots=True)
class _Count:
    token: str
    beats: int
    looks: int = 0


class Machines:
    """Counts for one machine, and looks after the others, from `with` to its end.

    Parameters
    ----------
    lost_work
        Puts what a dead machine had back into the queues.

    Attributes
    ----------
    told
        What this machine says of itself, with the next heartbeat.

    Raises
    ------
    StartError
        On entering, if another machine of this name lives, or the others have another
        spool.
    JobDatabaseError
        On entering, if the database cannot be read or written.
    """

    def __init__(
        self,
        database_url: str,
        machine: Machine,
        lost_work: LostWork,
        *,
        beat_s: float = BEAT_S,
    ) -> None:
        self.told = ""
        self._engine = engine_for(database_url)
        self._machine = machine
        self._lost_work = lost_work
        self._beat_s = beat_s
        self._token = uuid4().hex
        self._counts: dict[tuple[str, str], _Count] = {}
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._run, name="machines", daemon=True)

    @property
    def is_lost(self) -> bool:
        """Whether others have given this machine up: its work is theirs."""
        return self._lost.is_set()

    def __enter__(self) -> Self:
        try:
            self._sign_on()
        except NodeError:
            self._engine.dispose()
            raise
        self._thread.start()
        return self

    def _sign_on(self) -> None:
        try:
            with start_lock(self._engine) as connection:
                _METADATA.create_all(connection)
            self._refuse_twin()
            self._refuse_other_spool()
            self._register()
        except sa.exc.SQLAlchemyError as error:
            message = f"the job database failed: {why(error)}"
            raise JobDatabaseError(message) from error
        if self._machine.role == _WORK:
            # What an earlier process of this machine had when it died.
            self._lost_work.hand_over_machine(self._machine.name)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join(_RELEASE_S)
        if self._thread.is_alive():
            return  # the database does not answer, and the machine has to end
        try:
            if self._machine.role == _WORK and not self.is_lost:
                self._lost_work.hand_over_machine(self._machine.name)
            with self._engine.begin() as connection:
                connection.execute(sa.delete(_MACHINE).where(self._is_ours()))
        except (sa.exc.SQLAlchemyError, NodeError) as fault:
            log.warning("machine_not_signed_off", reason=why(fault))
        self._engine.dispose()

    def turn(self) -> None:
        """Count once, and look at the others once.

        Raises
        ------
        JobDatabaseError
            If the database cannot be read or written; looks begin anew.
        """
        try:
            self._beat()
            self._look()
        except NodeError:
            self._counts.clear()
            raise
        except sa.exc.SQLAlchemyError as error:
            self._counts.clear()
            message = f"the job database failed: {why(error)}"
            raise JobDatabaseError(message) from error

    def _run(self) -> None:
        while not self._ended.wait(self._beat_s) and not self.is_lost:
            try:
                self.turn()
            except JobDatabaseError as error:
                log.warning("heartbeat_missed", reason=str(error))
            except Exception as error:  # noqa: BLE001 - whoever counts no more is dead
                log.error("heartbeat_missed", reason=log.kind_and_place(error))

    def _beat(self) -> None:
        beat = (
            sa.update(_MACHINE)
            .where(self._is_ours())
            .values(beats=_MACHINE.c.beats + 1, beat_at=sa.func.now(), told=self.told)
        )
        with self._engine.begin() as connection:
            if connection.execute(beat).rowcount == 0:
                self._lost.set()
                reason = "the other machines have taken over its work"
                log.error("machine_given_up", machine=self._machine.name, reason=reason)

    def _look(self) -> None:
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.select(_MACHINE).where(_MACHINE.c.token != "")
            ).all()
        seen = {(row.name, row.role): row for row in rows}
        seen.pop((self._machine.name, self._machine.role), None)
        for key in self._counts.keys() - seen.keys():
            del self._counts[key]
        for key, row in seen.items():
            count = self._counts.get(key)
            if count is None or (count.token, count.beats) != (row.token, row.beats):
                self._counts[key] = _Count(row.token, row.beats)
                continue
            count.looks += 1
            if count.looks >= LOOKS:
                self._settle(*key, count)

    def _settle(self, name: str, role: str, count: _Count) -> None:
        """Take over from a dead machine, unless another one is at it, or it lives."""
        is_it = sa.and_(_MACHINE.c.name == name, _MACHINE.c.role == role)
        with self._engine.begin() as connection:
            found = connection.execute(
                sa.select(_MACHINE.c.token, _MACHINE.c.beats)
                .where(is_it)
                .with_for_update(skip_locked=True)
            ).first()
            if found is None or tuple(found) != (count.token, count.beats):
                return
            taken = self._lost_work.hand_over_machine(name) if role == _WORK else 0
            connection.execute(sa.update(_MACHINE).where(is_it).values(token=""))
            old = sa.text(f"interval '{_FORGET_AFTER}'")
            connection.execute(
                sa.delete(_MACHINE).where(
                    _MACHINE.c.token == "", _MACHINE.c.beat_at < sa.func.now() - old
                )
            )
        log.warning("machine_died", machine=name, role=role, jobs=taken)

    def _refuse_twin(self) -> None:
        """Refuse to be a second machine of this name.

        On one machine a lock has told; here it is seen whether the other still counts.
        """
        first = self._own_row()
        if first is None or first.host == self._machine.host:
            return
        end_s = time.monotonic() + LOOKS * self._beat_s
        while time.monotonic() < end_s:
            time.sleep(self._beat_s / LOOKS)
            seen = self._own_row()
            if seen is None:
                return
            if seen != first:
                raise StartError(twin_text(self._machine.name, self._machine.role))

    def _own_row(self) -> _Own | None:
        own = self._machine
        with self._engine.connect() as connection:
            found = connection.execute(
                sa.select(_MACHINE.c.token, _MACHINE.c.beats, _MACHINE.c.host).where(
                    _MACHINE.c.name == own.name,
                    _MACHINE.c.role == own.role,
                    _MACHINE.c.token != "",
                )
            ).first()
        return None if found is None else _Own(*found)

    def _refuse_other_spool(self) -> None:
        for row in machine_rows(self._engine):
            if row.is_alive and row.spool_id != self._machine.spool_id:
                text = (
                    f"machine {row.name} has another spool than this one: spool.folder "
                    "has to be the same shared folder on all machines; is it mounted?"
                )
                raise StartError(text)

    def _register(self) -> None:
        own = self._machine
        key = {"name": own.name, "role": own.role}
        values = {
            "token": self._token,
            "host": own.host,
            "spool_id": own.spool_id,
            "beats": 0,
            "beat_at": sa.func.now(),
            "told": self.told,
        }
        with self._engine.begin() as connection:
            connection.execute(
                sa.delete(_MACHINE).where(*(_MACHINE.c[k] == v for k, v in key.items()))
            )
            connection.execute(sa.insert(_MACHINE).values(**key, **values))

    def _is_ours(self) -> sa.ColumnElement[bool]:
        own = self._machine
        return sa.and_(
            _MACHINE.c.name == own.name,
            _MACHINE.c.role == own.role,
            _MACHINE.c.token == self._token,
        )


def twin_text(name: str, role: str) -> str:
    """Say that a machine of this name is there already."""
    return (
        f"another machine named {name} runs `lumbar-node {role}`: each machine of a "
        "node needs a name of its own (--machine NAME; by default the host name)"
    )


def engine_for(database_url: str, *, pool: type[sa.Pool] | None = None) -> sa.Engine:
    """Return an engine on PostgreSQL that waits for no silent server for long.

    Parameters
    ----------
    pool
        `sa.NullPool` keeps no connection; by default some are kept.
    """
    url = with_driver(database_url)
    url = url.update_query_dict({**_WAITS, **url.query})
    return sa.create_engine(url, pool_pre_ping=True, poolclass=pool)


@contextmanager
def start_lock(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Let one machine at a time make or change tables."""
    with engine.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_START_LOCK)))
        yield connection


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenMachine(MachineRow):
    """A machine with the spool that it sees."""

    spool_id: str


def machine_rows(engine: sa.Engine) -> tuple[SeenMachine, ...]:
    """Return how all machines stand; none where there never were any.

    Whoever has not counted for so long as makes it dead is told as such.
    """
    if not sa.inspect(engine).has_table(_MACHINE.name):
        return ()
    age = sa.func.extract("epoch", sa.func.now() - _MACHINE.c.beat_at)
    with engine.connect() as connection:
        found = connection.execute(
            sa.select(_MACHINE, age.label("age")).order_by(
                _MACHINE.c.name, _MACHINE.c.role
            )
        ).all()
    return tuple(_row(one._mapping) for one in found)


def _row(found: sa.RowMapping) -> SeenMachine:
    age_s = max(0.0, float(str(found["age"])))  # it may count while we ask
    return SeenMachine(
        name=str(found["name"]),
        role=str(found["role"]),
        is_alive=bool(found["token"]) and age_s < LOOKS * BEAT_S,
        beat_age_s=age_s,
        told=str(found["told"]),
        spool_id=str(found["spool_id"]),
    )

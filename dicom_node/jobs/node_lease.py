"""One node a database: who has it now, and that it still lives.

Two nodes on one job database would take each other's jobs, whose pixels lie in the
other's spool. The node that has the database therefore writes a row of its own, and
counts in it while it lives. Nothing is compared with a clock, for two machines need not
agree on the time: a holder is dead when its count stands still.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_double
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawValue
from types import TracebackType
from typing import Self
from uuid import uuid4

import sqlalchemy as sa

from dicom_node import log
from dicom_node.errors import JobDatabaseError, StartError
from dicom_node.jobs.database_reason import why
from dicom_node.jobs.database_url import with_driver

BEAT_S = 5.0
_BEATS_MISSED = 3
_BEATS_VALID = 2
"""Fewer than are missed when another takes it: a holder knows first."""
_LOOKS_PER_BEAT = 10
_RELEASE_S = 1.0
"""A node has ten seconds to stop, and this comes last."""
_THE_ROW = 1

_METADATA = sa.MetaData()
_LEASE = sa.Table(
    "lumbar_node_lease",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("node_id", sa.Text, nullable=False),
    sa.Column("node_name", sa.Text, nullable=False),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("beats", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeIdentity:
    """A node as others know it.

    Parameters
    ----------
    id
        The same whenever it starts, and on whatever host: it belongs to the spool.
    name
        For people: AE title, host and spool folder.
    """

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class _Row:
    node_id: str
    node_name: str
    token: str
    beats: int


class NodeLease:
    """Holds the job database for one node, from `with` to its end.

    A node that was killed and starts again has its database at once. Another node has
    to wait until the holder has missed some beats.

    Parameters
    ----------
    beat_s
        How often the holder counts.

    Attributes
    ----------
    valid_until_s
        In memory that child processes share: the time on the monotonic clock up to
        which nobody else can have taken it.

    Raises
    ------
    StartError
        On entering, if another node has the database and lives.
    JobDatabaseError
        On entering, if the database cannot be read or written.
    """

    def __init__(
        self, database_url: str, identity: NodeIdentity, *, beat_s: float = BEAT_S
    ) -> None:
        self._url = database_url
        self._identity = identity
        self._beat_s = beat_s
        self._token = uuid4().hex
        self.valid_until_s = RawValue(c_double, 0.0)
        self._seen: tuple[_Row, float] | None = None
        self._engine: sa.Engine | None = None
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    @property
    def is_lost(self) -> bool:
        """Whether another node has taken the database: this one has to stop."""
        return self._lost.is_set()

    def __enter__(self) -> Self:
        try:
            self._acquire(self._opened())
        except sa.exc.SQLAlchemyError as error:
            message = f"the job database failed: {why(error)}"
            raise JobDatabaseError(message) from error
        self._thread.start()
        return self

    def try_take(self) -> str:
        """Take it if nobody has it, or its holder has died; never wait.

        To be called about once a second until it is had, in place of entering.

        Returns
        -------
        str
            Who has it; empty if it is ours now.
        """
        begun_s = time.monotonic()
        try:
            engine = self._opened()
            seen = _row(engine)
            if seen is not None and self._is_held_by_other(seen):
                if not self._stands_still(seen, begun_s):
                    return seen.node_name
                log.warning("database_taken_over", reason=f"{seen.node_name} is dead")
            if not self._take(engine, seen):
                return "another machine"
        except sa.exc.SQLAlchemyError as error:
            self._seen = None  # nobody is called dead while the database was away
            return f"nobody knows: the job database failed: {why(error)}"
        self._hold_from(begun_s)
        self._thread.start()
        return ""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Give it up in the end, after `try_take`."""
        try:
            yield
        finally:
            self.__exit__(None, None, None)

    def _opened(self) -> sa.Engine:
        if self._engine is None:
            engine = sa.create_engine(with_driver(self._url), pool_pre_ping=True)
            _METADATA.create_all(engine)
            self._engine = engine
        return self._engine

    def _stands_still(self, row: _Row, now_s: float) -> bool:
        if self._seen is None or self._seen[0] != row:
            self._seen = (row, now_s)
        return now_s - self._seen[1] >= self._beat_s * _BEATS_MISSED

    def _hold_from(self, begun_s: float) -> None:
        self.valid_until_s.value = begun_s + self._beat_s * _BEATS_VALID

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(_RELEASE_S)
        if self._engine is None or self._thread.is_alive():
            return  # the database does not answer, and the node has to end
        self._write(token="", beats=0)
        self._engine.dispose()

    def _acquire(self, engine: sa.Engine) -> None:
        first = _row(engine)
        end_s = time.monotonic() + self._beat_s * _BEATS_MISSED
        seen = first
        while seen is not None and self._is_held_by_other(seen):
            if seen != first:
                raise StartError(_in_use(seen.node_name, self._identity.name))
            if time.monotonic() >= end_s:
                log.warning("database_taken_over", reason=f"{seen.node_name} is dead")
                break
            time.sleep(self._beat_s / _LOOKS_PER_BEAT)
            seen = _row(engine)
        if not self._take(engine, seen):
            # Another node has been quicker, since the last look.
            self._acquire(engine)

    def _is_held_by_other(self, row: _Row) -> bool:
        return bool(row.token) and row.node_id != self._identity.id

    def _take(self, engine: sa.Engine, seen: _Row | None) -> bool:
        ours = {
            "node_id": self._identity.id,
            "node_name": self._identity.name,
            "token": self._token,
            "beats": 0,
        }
        try:
            with engine.begin() as connection:
                if seen is None:
                    connection.execute(sa.insert(_LEASE).values(id=_THE_ROW, **ours))
                    return True
                taken = connection.execute(
                    sa.update(_LEASE)
                    .where(_LEASE.c.id == _THE_ROW, _LEASE.c.token == seen.token)
                    .values(**ours)
                )
                return taken.rowcount == 1
        except sa.exc.IntegrityError:
            return False

    def _beat(self) -> None:
        while not self._ended.wait(self._beat_s):
            begun_s = time.monotonic()
            is_held = self._write(token=self._token, beats=_LEASE.c.beats + 1)
            if is_held is False:
                self.valid_until_s.value = 0.0
                self._lost.set()
                log.error("database_lost", reason="another node has taken it")
                return
            if is_held:
                self._hold_from(begun_s)

    def _write(self, *, token: str, beats: sa.ColumnElement[int] | int) -> bool | None:
        """Change our row; False if it is another node's, None if nobody can tell."""
        assert self._engine is not None  # noqa: S101 - __enter__ has made it
        ours = sa.and_(_LEASE.c.id == _THE_ROW, _LEASE.c.token == self._token)
        change = sa.update(_LEASE).where(ours).values(token=token, beats=beats)
        try:
            with self._engine.begin() as connection:
                return connection.execute(change).rowcount == 1
        except sa.exc.SQLAlchemyError as error:
            log.warning("lease_not_renewed", reason=why(error))
            return None


def last_holder_id(engine: sa.Engine) -> str:
    """Return the id of the node that has or had the database; empty if none ever had.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        If the database cannot be read.
    """
    if not sa.inspect(engine).has_table(_LEASE.name):
        return ""
    found = _row(engine)
    return "" if found is None else found.node_id


def _row(engine: sa.Engine) -> _Row | None:
    columns = (
        _LEASE.c.node_id,
        _LEASE.c.node_name,
        _LEASE.c.token,
        _LEASE.c.beats,
    )
    with engine.connect() as connection:
        found = connection.execute(sa.select(*columns)).first()
    return None if found is None else _Row(*found)


def _in_use(holder: str, ours: str) -> str:
    return (
        f"the job database is in use by {holder}; this is {ours}: two nodes on one "
        "database would deliver each other's results"
    )

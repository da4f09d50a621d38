"""`lumbar-node serve`, `receive` and `work`: what a machine holds while it runs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dicom_node import log
from dicom_node.errors import JobDatabaseError, StartError
from dicom_node.jobs.dbos_setup import prepare_database
from dicom_node.jobs.known_spool import (
    another_can,
    refuse_beside_machines,
    refuse_foreign_spool,
)
from dicom_node.jobs.machines import Machine, Machines
from dicom_node.jobs.node_lease import NodeIdentity, NodeLease
from dicom_node.jobs.queue import JobQueue
from dicom_node.node.holdings import Holdings
from dicom_node.node.machine_identity import machine_name, this_host
from dicom_node.node.ownership import machine_lock, spool_lock
from dicom_node.node.role import Role
from dicom_node.node.spool_watch import SpoolWatch
from dicom_node.node.standby import Standby
from dicom_node.node.supervisor import Service
from dicom_node.receive.receiver import open_listener
from dicom_node.settings.deprecated_keys import deprecated_keys
from dicom_node.spool_identity import SpoolIdentity
from dicom_node.spool_layout import SpoolLayout

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from dicom_node.settings.sections import Settings

_POSTGRESQL = "postgresql"
_TRIES = 3
_PAUSE_S = 1.0


def serve(settings: Settings, config: Path) -> None:
    """Run the node on one machine until SIGTERM or SIGINT; a second ends it at once.

    Parameters
    ----------
    config
        Where the settings came from; SIGHUP reads them again.

    Raises
    ------
    StartError
        If the port, the spool or the database cannot be had.
    """
    _tell_log(settings)
    layout = _made(settings)
    url = settings.database_url
    with spool_lock(layout, settings) as identity:
        prepare_database(url)
        if url.startswith(_POSTGRESQL):
            refuse_beside_machines(url)
        with (
            NodeLease(url, identity) as lease,
            JobQueue(url) as queue,
            _listening(settings) as listener,
        ):
            held = Holdings(queue=queue, listener=listener, lease=lease)
            Service(settings, config, held).run()


def work(settings: Settings, config: Path, *, machine: str = "") -> None:
    """Run the workers of one of several machines; else as `serve`.

    Parameters
    ----------
    machine
        Its name among the machines of the node; by default its host name.
    """
    with _one_of_several(settings, machine, Role.WORK) as (own, queue, machines):
        spool = SpoolIdentity(SpoolLayout(settings.spool.folder))
        held = Holdings(
            queue=queue,
            role=Role.WORK,
            machine=own.name,
            machines=machines,
            spool=_watched(spool, own, settings.database_url),
        )
        Service(settings, config, held).run()


def receive(settings: Settings, config: Path, *, machine: str = "") -> None:
    """Receive for all machines of a node, or stand by until the one that does has died.

    Else as `work`.
    """
    with _one_of_several(settings, machine, Role.RECEIVE) as (own, queue, machines):
        url = settings.database_url
        identity = NodeIdentity(
            id=f"{own.spool_id}/{own.name}",
            name=f"{settings.node.ae_title} on machine {own.name}",
        )
        lease = NodeLease(url, identity)
        spool = SpoolIdentity(SpoolLayout(settings.spool.folder))
        standby = Standby(settings, config, lease, machines, spool)
        if not standby.waited():
            return
        settings = standby.settings
        with lease.held(), _listening(settings) as listener:
            machines.told = "receives"
            held = Holdings(
                queue=queue,
                listener=listener,
                lease=lease,
                role=Role.RECEIVE,
                machine=own.name,
                machines=machines,
                spool=_watched(spool, own, url),
            )
            Service(settings, config, held).run()


def _watched(spool: SpoolIdentity, own: Machine, url: str) -> SpoolWatch:
    return SpoolWatch(
        lambda: spool.is_gone, lambda: another_can(url, own.name, own.role)
    )


@contextmanager
def _one_of_several(
    settings: Settings, given_name: str, role: Role
) -> Iterator[tuple[Machine, JobQueue, Machines]]:
    url = settings.database_url
    if not url.startswith(_POSTGRESQL):
        text = (
            "several machines need PostgreSQL: `database` is SQLite, a file for one "
            f"machine, on which `lumbar-node {role}` cannot run; give a database as "
            "postgresql+psycopg://USER@HOST/NAME, or run `lumbar-node serve` alone"
        )
        raise StartError(text)
    name = machine_name(given_name)
    _tell_log(settings)
    _prepare_database(url)
    # Before a folder is made: where nothing is mounted, a spool would begin anew.
    refuse_foreign_spool(url, SpoolLayout(settings.spool.folder))
    layout = _made(settings)
    with machine_lock(layout, settings, name=name, role=role) as spool_id:
        own = Machine(name=name, role=role, host=this_host(), spool_id=spool_id)
        with (
            JobQueue(url) as queue,
            JobQueue(url) as of_machines,
            Machines(url, own, of_machines.lost_work) as machines,
        ):
            yield own, queue, machines


def _prepare_database(url: str) -> None:
    """Make or upgrade the database; DBOS lets one machine at a time do so.

    Raises
    ------
    JobDatabaseError
        If that is impossible.
    """
    for _ in range(_TRIES - 1):
        try:
            prepare_database(url)
        except JobDatabaseError:
            # Two machines that make one database at the same moment: one is too late.
            time.sleep(_PAUSE_S)
        else:
            return
    prepare_database(url)


def _tell_log(settings: Settings) -> None:
    log.configure(level=settings.log.level, uids=settings.log.uids)
    for sentence in deprecated_keys(settings):
        log.warning("settings_deprecated", reason=sentence)


def _made(settings: Settings) -> SpoolLayout:
    layout = SpoolLayout(settings.spool.folder)
    try:
        layout.prepare()
    except OSError as error:
        text = f"spool folder {layout.folder}: {error.strerror}"
        raise StartError(text) from error
    return layout


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    node = settings.node
    try:
        listener = open_listener(node.bind, node.port)
    except OSError as error:
        # `create_server` writes the address into `strerror` once more.
        reason = error.strerror if error.errno is None else os.strerror(error.errno)
        text = f"{node.bind} port {node.port}: {reason}"
        raise StartError(text) from error
    with listener:
        yield listener

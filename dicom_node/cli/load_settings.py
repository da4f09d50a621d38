"""Settings as the commands read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.errors import PeerUnknownError, SettingsError
from dicom_node.supervisor_messages import SettingsRead, SettingsRefused

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from dicom_node.settings.sections import Peer, Receiver, Settings


def read(config: Path) -> Settings:
    """Return the settings of a file.

    Raises
    ------
    SettingsError
        With every mistake.
    """
    settings, _ = _read_with_lines(config)
    return settings


def _read_with_lines(config: Path) -> tuple[Settings, dict[str, int]]:
    from dicom_node.plugins.registry import installed
    from dicom_node.settings.load import load_with_lines

    return load_with_lines(config, analyses=list(installed()))


def peer_named(name: str, settings: Settings) -> Peer:
    """Return a DICOM peer of the settings.

    Raises
    ------
    PeerUnknownError
        With the names that there are.
    """
    if name not in settings.peers:
        raise PeerUnknownError(name, known=settings.peers)
    return settings.peers[name]


def receiver_named(name: str, settings: Settings) -> Receiver:
    """Return a peer of any kind.

    Raises
    ------
    PeerUnknownError
        With the names that there are.
    """
    receivers = settings.receivers
    if name not in receivers:
        raise PeerUnknownError(name, known=receivers)
    return receivers[name]


def send_settings(pipe: Connection, config: str) -> None:
    """Read a file in a process of its own, and send what came of it."""
    try:
        settings, lines = _read_with_lines(Path(config))
    except SettingsError as error:
        pipe.send(SettingsRefused(error.problems))
    else:
        pipe.send(SettingsRead(settings.model_dump_json(), lines))

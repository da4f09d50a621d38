"""Settings as the commands read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.errors import PeerUnknownError, SettingsError
from dicom_node.supervisor_messages import SettingsRead, SettingsRefused

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from dicom_node.settings.sections import Peer, Settings


def read(config: Path) -> Settings:
    """Return the settings of a file.

    Raises
    ------
    SettingsError
        With every mistake.
    """
    from dicom_node.plugins.registry import installed
    from dicom_node.settings.load import load

    return load(config, analyses=list(installed()))


def peer_named(name: str, settings: Settings) -> Peer:
    """Return a peer of the settings.

    Raises
    ------
    PeerUnknownError
        With the names that there are.
    """
    if name not in settings.peers:
        raise PeerUnknownError(name, known=settings.peers)
    return settings.peers[name]


def check_receiver(name: str, settings: Settings) -> None:
    """Return if results may go to a peer of this name, be it a web service.

    Raises
    ------
    PeerUnknownError
        With the names that there are.
    """
    known = {*settings.peers, *settings.web_peers}
    if name not in known:
        raise PeerUnknownError(name, known=known)


def send_settings(pipe: Connection, config: str) -> None:
    """Read a file in a process of its own, and send what came of it."""
    try:
        settings = read(Path(config))
    except SettingsError as error:
        pipe.send(SettingsRefused(error.problems))
    else:
        pipe.send(SettingsRead(settings.model_dump_json()))

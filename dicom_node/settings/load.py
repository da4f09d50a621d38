"""Read `node.yaml`, and tell every mistake at once with file, line and path."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

import yaml
from pydantic import ValidationError

from dicom_node.errors import SettingsError
from dicom_node.settings.explain import explain
from dicom_node.settings.files import obstacles, with_files_beside
from dicom_node.settings.key_lines import MarkedYaml, OverLimitError, Problem, parse
from dicom_node.settings.sections import ReportPeer, Route, Settings
from dicom_node.settings.self_test import TEST_PEER, TEST_TITLE

_OTHER_PEERS = ("web_peers", "fhir_peers", "hl7_peers")
_MOST_BYTES = 2**20
_LEVELS_OF_KEYS = 2
"""A section, and a key in it."""
_NO_ADDRESS = re.compile(r"\?|%[0-9A-Fa-f]{2}")
"""What a URL begins something else with."""
_ANALYSIS = Route.model_fields["analysis"].default


def load(path: Path, *, analyses: Collection[str]) -> Settings:
    """Read the settings of a node; else as `load_with_lines`."""
    settings, _ = load_with_lines(path, analyses=analyses)
    return settings


def load_with_lines(
    path: Path, *, analyses: Collection[str]
) -> tuple[Settings, dict[str, int]]:
    """Read the settings of a node, and where their sections and keys stand.

    A relative spool folder, or file, is taken from the folder in which the settings
    lie, so the node finds it wherever it is started.

    Parameters
    ----------
    path
        A YAML file.
    analyses
        Names of the analyses that are installed.

    Returns
    -------
    Settings
    dict
        Lines, counted from 1, by names such as `node` and `node.port`; of what is left
        out none.

    Raises
    ------
    SettingsError
        With every mistake, each as `file:line path: value and limit`.
    """
    document = _read(path)
    problems = [*document.problems]
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(document.data)
        settings = with_files_beside(settings, path.parent)
        problems.extend(
            Problem(line=document.line(at), path=at, text=text)
            for at, text in obstacles(settings)
        )
    except ValidationError as error:
        problems.extend(explain(error, document))
    problems.extend(_disagreements(document, analyses))
    if settings is not None:
        problems.extend(_shared_port(settings, document))
        problems.extend(_names_without_tls(settings, document))
        problems.extend(_names_of_the_test(settings, document))
        problems.extend(_silent_sender(settings, document))
        problems.extend(_missing_report(settings, document))
    at = ("spool", "folder")
    folder, obstacle = None, ""
    try:
        folder = _spool_folder(document, path)
    except RuntimeError:  # of `expanduser`
        obstacle = f"{settings and settings.spool.folder} names no home folder"
    if folder is not None:
        obstacle = _cannot_hold_spool(folder)
        if not obstacle and settings is not None and settings.database is None:
            obstacle = _cannot_hold_database(folder)
    if obstacle:
        problems.append(Problem(line=document.line(at), path=at, text=obstacle))
    if problems or settings is None or folder is None:
        raise SettingsError(_lines(path, problems))
    spool = settings.spool.model_copy(update={"folder": folder})
    lines = {
        ".".join(map(str, at)): line
        for at, line in document.lines.items()
        if 0 < len(at) <= _LEVELS_OF_KEYS
    }
    return settings.model_copy(update={"spool": spool}), lines


def _read(path: Path) -> MarkedYaml:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        text = content.decode("utf-8")
    except OSError as error:
        why = (error.strerror or "cannot be read").lower()
        raise SettingsError((f"{path}: {why}",)) from error
    except UnicodeDecodeError as error:
        raise SettingsError((f"{path}: is not UTF-8 text",)) from error
    if len(content) > _MOST_BYTES:
        raise SettingsError((f"{path}: has more than {_MOST_BYTES // 2**20} MiB",))
    try:
        document = parse(text)
    except OverLimitError as error:
        line = 1 if error.problem_mark is None else error.problem_mark.line + 1
        raise SettingsError((f"{path}:{line} {error.problem}",)) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = 1 if mark is None else mark.line + 1
        what = error.problem or "cannot be read"
        raise SettingsError((f"{path}:{line} is not YAML: {what}",)) from error
    except yaml.YAMLError as error:  # control characters, before any mark exists
        raise SettingsError((f"{path}: is not YAML: {error}",)) from error
    if not isinstance(document.data, dict):
        raise SettingsError((f"{path}:1 expected sections such as `node:`",))
    return document


def _lines(path: Path, problems: list[Problem]) -> tuple[str, ...]:
    ordered = sorted(problems, key=lambda problem: problem.line)
    lines = [
        f"{path}:{problem.line} {'.'.join(map(str, problem.path))}: {problem.text}"
        for problem in ordered
    ]
    return tuple(dict.fromkeys(lines))


def _disagreements(
    document: MarkedYaml, analyses: Collection[str]
) -> Iterator[Problem]:
    """Check what no single section can know: names that refer to one another."""
    data = document.data
    assert isinstance(data, dict)  # noqa: S101 - _read has turned away all else
    peer_names = receivers = _keys(data.get("peers"))
    for section in _OTHER_PEERS:
        names = _keys(data.get(section))
        for shared in sorted(receivers & names):
            at: tuple[str | int, ...] = (section, shared)
            text = f"{shared} is also the name of a peer"
            yield Problem(line=document.line(at), path=at, text=text)
        receivers = receivers | names
    routes = data.get("routes")
    first_line: dict[str, int] = {}
    for index, route in enumerate(routes if isinstance(routes, list) else []):
        if not isinstance(route, dict):
            continue
        at = ("routes", index)
        name, analysis = route.get("name"), route.get("analysis", _ANALYSIS)
        line = document.line((*at, "name"))
        if isinstance(name, str) and name in first_line:
            text = f"{name} is also the route in line {first_line[name]}"
            yield Problem(line=line, path=(*at, "name"), text=text)
        elif isinstance(name, str):
            first_line[name] = line
        if isinstance(analysis, str) and analysis not in analyses:
            known = ", ".join(sorted(analyses)) or "none"
            text = f"no analysis {analysis} is installed (installed: {known})"
            line = document.line((*at, "analysis"))
            yield Problem(line=line, path=(*at, "analysis"), text=text)
        path = (*at, "deliver_to")
        yield from _unknown_peers(document, path, route.get("deliver_to"), receivers)
        yield from _unknown_prior_peer(document, at, route.get("follow_up"), peer_names)


def _keys(section: object) -> set[str]:
    return {str(key) for key in section} if isinstance(section, dict) else set()


def _shared_port(settings: Settings, document: MarkedYaml) -> Iterator[Problem]:
    if settings.ops is not None and settings.ops.port == settings.node.port:
        at = ("ops", "port")
        text = f"{settings.ops.port} is also node.port"
        yield Problem(line=document.line(at), path=at, text=text)


def _names_of_the_test(settings: Settings, document: MarkedYaml) -> Iterator[Problem]:
    for section in _OTHER_PEERS:
        if TEST_PEER in getattr(settings, section):
            where: tuple[str | int, ...] = (section, TEST_PEER)
            text = f"{TEST_PEER} is the name of the node's own test"
            yield Problem(line=document.line(where), path=where, text=text)
    for name, peer in settings.peers.items():
        at: tuple[str | int, ...] = ("peers", name)
        if name == TEST_PEER:
            text = f"{TEST_PEER} is the name of the node's own test"
            yield Problem(line=document.line(at), path=at, text=text)
        if peer.ae_title == TEST_TITLE:
            at = (*at, "ae_title")
            text = f"{TEST_TITLE} is the title of the node's own test"
            yield Problem(line=document.line(at), path=at, text=text)


def _names_without_tls(settings: Settings, document: MarkedYaml) -> Iterator[Problem]:
    if settings.node.tls is not None:
        return
    for name, peer in settings.peers.items():
        if peer.certificate_names is not None:
            at = ("peers", name, "certificate_names")
            text = "needs node.tls: without it nobody shows a certificate"
            yield Problem(line=document.line(at), path=at, text=text)


def _silent_sender(settings: Settings, document: MarkedYaml) -> Iterator[Problem]:
    silent = settings.notify and settings.notify.silent_sender
    if not silent:
        return
    at: tuple[str | int, ...] = ("notify", "silent_sender")
    if silent.from_hour >= silent.to_hour:
        text = f"{silent.to_hour} is not after from_hour ({silent.from_hour})"
        path = (*at, "to_hour")
        yield Problem(line=document.line(path), path=path, text=text)
    path = (*at, "peers")
    yield from _unknown_peers(document, path, silent.peers, set(settings.peers))


def _missing_report(settings: Settings, document: MarkedYaml) -> Iterator[Problem]:
    """Tell of routes that make no report for those who get nothing else."""
    for index, route in enumerate(settings.routes):
        peers = [
            name
            for name in route.deliver_to
            if isinstance(settings.receivers.get(name), ReportPeer)
        ]
        if peers and "sr" not in route.objects:
            at = ("routes", index, "objects")
            text = f"{', '.join(peers)} gets what the sr says, which is not among them"
            yield Problem(line=document.line(at), path=at, text=text)


def _unknown_peers(
    document: MarkedYaml,
    at: tuple[str | int, ...],
    peers: object,
    known: set[str],
) -> Iterator[Problem]:
    if not isinstance(peers, list):
        return
    seen: set[str] = set()
    for index, peer in enumerate(peers):
        if not isinstance(peer, str):
            continue
        path = (*at, index)
        line = document.line(path)
        if peer not in known:
            names = ", ".join(sorted(known)) or "none"
            text = f"no peer is named {peer} (peers: {names})"
            yield Problem(line=line, path=path, text=text)
        elif peer in seen:
            yield Problem(line=line, path=path, text=f"{peer} is named twice")
        seen.add(peer)


def _unknown_prior_peer(
    document: MarkedYaml,
    at: tuple[str | int, ...],
    follow_up: object,
    known: set[str],
) -> Iterator[Problem]:
    peer = follow_up.get("peer") if isinstance(follow_up, dict) else None
    if isinstance(peer, str) and peer not in known:
        path = (*at, "follow_up", "peer")
        text = f"no peer is named {peer} (peers: {', '.join(sorted(known)) or 'none'})"
        yield Problem(line=document.line(path), path=path, text=text)


def _spool_folder(document: MarkedYaml, path: Path) -> Path | None:
    data = document.data
    spool = data.get("spool") if isinstance(data, dict) else None
    folder = spool.get("folder") if isinstance(spool, dict) else None
    if not isinstance(folder, str) or not folder:
        return None
    return (path.parent / Path(folder).expanduser()).resolve()


def _is_seen(path: Path) -> bool:
    """Return whether it is there; not what lies in a folder that is closed to us."""
    try:
        return path.exists()
    except OSError:
        return False


def _cannot_hold_database(folder: Path) -> str:
    """Say why the job database cannot lie in the folder; empty if it can."""
    if not _NO_ADDRESS.search(str(folder)):
        return ""
    return (
        f"{folder} cannot hold the job database, in whose address ? and % mean "
        "something else: take another name, or give `database`"
    )


def _cannot_hold_spool(folder: Path) -> str:
    """Say why the folder can neither be used nor made; empty if it can."""
    nearest = folder
    while not _is_seen(nearest):
        nearest = nearest.parent
    if not nearest.is_dir():
        return f"{folder} cannot be a folder: {nearest} is a file"
    if not os.access(nearest, os.W_OK | os.X_OK):
        what = "written to" if nearest == folder else f"made in {nearest}"
        return f"{folder} cannot be {what}: no permission"
    return ""

"""`lumbar-node check | echo | describe`: what a site asks before it starts."""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import packages_distributions, version
from typing import TYPE_CHECKING

from dicom_node.cli.console import complain, say, say_json, say_table
from dicom_node.cli.exit_code import ExitCode
from dicom_node.cli.load_settings import read, receiver_named
from dicom_node.errors import NodeError, PeerUnreachableError, SettingsError
from dicom_node.failure_codes import FAILURES
from dicom_node.input_codes import REFUSALS, WARNINGS, InputCode
from dicom_node.node_report import PeerKind, PeerPlan
from dicom_node.ops.reach import reach
from dicom_node.settings.deprecated_keys import deprecated_keys
from dicom_node.tls import valid_until_s

if TYPE_CHECKING:
    from dicom_node.settings.sections import Peer, Receiver, Settings

_DISTRIBUTION = "lumbar-node"
_PACKAGES = ("analysis", "dicom_node")
_GIB = 2**30
_DAY_S = 86400.0
_SOON_DAYS = 30.0
_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - asked about, not bound
_OWN_TIMEOUT_S = 5.0
"""A node that needs longer to answer itself is not well."""
_MARKS = {(True, False): "ok   ", (True, True): "warn ", (False, False): "WRONG"}
"""By whether a finding is good, and whether it is a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """One thing that was checked.

    Parameters
    ----------
    warning
        Good enough to start with, and yet not what was asked for.
    """

    subject: str
    good: bool
    text: str
    warning: bool = False


def run_check(arguments: argparse.Namespace) -> ExitCode:
    """Check all that `serve` needs, but touch no peer."""
    findings = [] if arguments.settings_only else [*_packaging()]
    settings: Settings | None = None
    try:
        settings = read(arguments.config)
    except SettingsError as error:
        findings.extend(
            _Finding(subject="settings", good=False, text=problem)
            for problem in error.problems
        )
    if settings is not None:
        text = str(arguments.config)
        findings.append(_Finding(subject="settings", good=True, text=text))
        findings.extend(
            _Finding(subject="settings", good=True, text=sentence, warning=True)
            for sentence in deprecated_keys(settings)
        )
        if not arguments.settings_only:
            findings.extend(_spool(settings))
            findings.extend(_database(settings))
            findings.extend(_certificates(settings))
            findings.extend(_notified(settings))
            findings.extend(_analyses(settings))
    _print_findings(findings, as_json=arguments.json)
    if settings is None:
        return ExitCode.WRONG_USAGE
    is_good = all(finding.good for finding in findings)
    return ExitCode.DONE if is_good else ExitCode.FAILED


def _packaging() -> Iterator[_Finding]:
    """Check that nobody else has installed a package of our names."""
    owners = packages_distributions()
    for package in _PACKAGES:
        # A checkout that is installed editable lists no files, so it owns nothing here.
        foreign = sorted(set(owners.get(package, ())) - {_DISTRIBUTION})
        text = f"{package} belongs to {', '.join(foreign) or _DISTRIBUTION}"
        yield _Finding(subject="packaging", good=not foreign, text=text)


def _spool(settings: Settings) -> Iterator[_Finding]:
    folder = settings.spool.folder
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        free_gb = shutil.disk_usage(folder).free / _GIB
    except OSError as error:
        text = f"{folder}: {error.strerror}"
        yield _Finding(subject="spool", good=False, text=text)
        return
    good = os.access(folder, os.W_OK | os.X_OK)
    text = f"{folder} can{'' if good else 'not'} be written"
    yield _Finding(subject="spool", good=good, text=text)
    limit_gb = settings.spool.min_free_gb
    text = f"{free_gb:.1f} GiB free, {limit_gb:g} are to be kept"
    yield _Finding(subject="disk", good=free_gb > limit_gb, text=text)


def _database(settings: Settings) -> Iterator[_Finding]:
    """Ask the server of the jobs whether the node may write; SQLite has the spool."""
    url = settings.database_url
    if not url.startswith("postgresql"):
        return
    from dicom_node.errors import JobDatabaseError
    from dicom_node.jobs.postgresql_check import postgresql_state

    try:
        text, obstacle = postgresql_state(url)
    except JobDatabaseError as error:
        yield _Finding(subject="database", good=False, text=str(error))
        return
    if obstacle:
        text += f": {obstacle}"
    yield _Finding(subject="database", good=not obstacle, text=text)


def _notified(settings: Settings) -> Iterator[_Finding]:
    """Check the addresses of `notify`, and repeat none: they hold passwords."""
    if settings.notify is None:
        return
    from dicom_node.ops.notification_loop import addresses
    from dicom_node.ops.notification_sender import is_known

    path = settings.notify.urls_file
    place = "the environment" if path is None else str(path)
    try:
        listed = addresses(path)
    except (OSError, UnicodeDecodeError):
        return  # it was read a moment ago, with the settings
    for number, address in enumerate(listed, start=1):
        good = is_known(address)
        text = f"address {number} of {place} is {'one' if good else 'none'}"
        text += " that apprise knows; nothing was sent"
        yield _Finding(subject="notify", good=good, text=text)


def _certificates(settings: Settings) -> Iterator[_Finding]:
    from dicom_node.settings.ops_plan import own_certificates

    for name, files in own_certificates(settings).items():
        try:
            days = (valid_until_s(files) - time.time()) / _DAY_S
        except OSError as error:
            text = f"{name}: {error.strerror or error}"
            yield _Finding(subject="certificate", good=False, text=text)
            continue
        yield _Finding(
            subject="certificate",
            good=days > 0,
            warning=0 < days < _SOON_DAYS,
            text=f"{name} is valid for {days:.0f} days"
            if days > 0
            else f"{name} expired {-days:.0f} days ago",
        )


def _analyses(settings: Settings) -> Iterator[_Finding]:
    from dicom_node.plugins.chosen_device import chosen_device
    from dicom_node.plugins.registry import (
        Registry,
        can_follow_up,
        installed,
        runtime_of,
    )
    from dicom_node.work.compute_device import missed_device

    registry, work = Registry(installed()), settings.work
    for name in sorted({route.analysis for route in settings.routes}):
        try:
            analysis, why = registry.prepared(
                name, threads=work.threads, device=chosen_device(work.device)
            )
        except NodeError as error:
            yield _Finding(subject="analysis", good=False, text=str(error))
            continue
        text = f"{analysis.name} {analysis.version}, weights verified"
        runtime = runtime_of(analysis)
        text += runtime and f", computed by {runtime}"
        yield _Finding(subject="analysis", good=True, text=text)
        missed = missed_device(work.device, why)
        if missed:
            yield _Finding(subject="device", good=True, text=missed, warning=True)
        compares = can_follow_up(analysis)
        for route in settings.routes:
            if route.analysis == name and route.follow_up is not None:
                text = f"{name} can{'' if compares else 'not'} compare examinations"
                yield _Finding(subject=f"route {route.name}", good=compares, text=text)


def _print_findings(findings: list[_Finding], *, as_json: bool) -> None:
    if as_json:
        say_json([asdict(finding) for finding in findings])
        return
    for finding in findings:
        mark = _MARKS[finding.good, finding.warning]
        tell = say if finding.good else complain
        if finding.subject == "settings" and not finding.good:
            complain(finding.text)
        else:
            tell(f"{mark} {finding.subject}: {finding.text}")


def run_echo(arguments: argparse.Namespace) -> ExitCode:
    """Ask a peer of any kind, or the node that the settings describe, for an answer."""
    settings = read(arguments.config)
    if arguments.peer is None:
        say(reached("the node", itself(settings), settings))
    else:
        peer = receiver_named(arguments.peer, settings)
        say(reached(arguments.peer, peer, settings))
    return ExitCode.DONE


def reached(name: str, peer: Receiver, settings: Settings) -> str:
    """Ask a peer of any kind for an answer, and tell of it in one sentence.

    Raises
    ------
    NodeError
        If there is none, or not the right one.
    """
    from dicom_node.peers.verify import echo
    from dicom_node.settings.ops_plan import peer_plan
    from dicom_node.settings.sections import Peer
    from dicom_node.web_service import greet

    if isinstance(peer, Peer):
        echo(peer, settings.node.ae_title)
        return f"{name} ({peer.ae_title} at {peer.host}:{peer.port}) answers"
    plan = peer_plan(name, peer)
    try:
        if plan.web is None:
            reach(plan, settings.node.ae_title, plan.timeout_s)
            where = f"{plan.kind.value} at {plan.host}:{plan.port}"
            return f"{name} ({where}) takes connections; no message was sent"
        _, status = greet(plan.web, plan.timeout_s)
    except OSError as error:
        why = error.strerror or str(error) or type(error).__name__
        raise PeerUnreachableError(
            name, host=plan.host, port=plan.port, why=why
        ) from error
    knows_us = plan.web.token_file is not None or plan.web.user is not None
    text = f"{name} ({plan.kind.value} at {plan.web.url}) answers, HTTP {status}"
    return text + (" with our credentials" if knows_us else "")


def itself(settings: Settings) -> Peer:
    """Describe the node as a peer of itself; over TLS it shows its own certificate."""
    from dicom_node.settings.sections import Peer
    from dicom_node.settings.tls_sections import RequestorTls

    node, tls = settings.node, settings.node.tls
    is_any = node.bind in _ANY_ADDRESS
    return Peer(
        ae_title=node.ae_title,
        host="127.0.0.1" if is_any else node.bind,
        port=node.port,
        timeout_s=_OWN_TIMEOUT_S,
        tls=None
        if tls is None
        else RequestorTls(
            ca_file=tls.ca_file,
            certificate_file=tls.certificate_file,
            key_file=tls.key_file,
            check_host_name=False,
        ),
    )


def run_describe(arguments: argparse.Namespace) -> ExitCode:
    """Print versions, routes, peers, what is accepted, and the codes of inputs."""
    from pydicom.uid import AllTransferSyntaxes

    from dicom_node.dimse.contexts import is_kept_syntax

    settings = read(arguments.config)
    node = settings.node
    kept = [syntax for syntax in AllTransferSyntaxes if is_kept_syntax(syntax)]
    if arguments.json:
        say_json(
            {
                "version": version(_DISTRIBUTION),
                "settings": settings.model_dump(mode="json", exclude={"database"}),
                "analyses": _loaded(settings),
                "transfer_syntaxes": [str(syntax) for syntax in kept],
                "warnings": [listed._asdict() for listed in WARNINGS],
                "refusals": [listed._asdict() for listed in REFUSALS],
                "failures": [listed._asdict() for listed in FAILURES],
            }
        )
        return ExitCode.DONE
    say(f"lumbar-node {version(_DISTRIBUTION)}")
    say(f"{node.ae_title} on {node.bind}:{node.port}")
    say("")
    say_table(
        ("PEER", "AE TITLE", "ADDRESS", "MAY SEND"),
        [
            (name, peer.ae_title, f"{peer.host}:{peer.port}", _yes(peer.may_send))
            for name, peer in sorted(settings.peers.items())
        ],
    )
    if others := [one for one in _plans(settings) if one.kind is not PeerKind.DICOM]:
        say("")
        say_table(
            ("PEER", "KIND", "ADDRESS"),
            [
                (
                    one.name,
                    one.kind.value,
                    f"{one.host}:{one.port}" if one.web is None else one.web.url,
                )
                for one in others
            ],
        )
    say("")
    say_table(
        ("ROUTE", "ANALYSIS", "OBJECTS", "DELIVER TO"),
        [
            (
                route.name,
                route.analysis,
                " ".join(route.objects),
                " ".join(route.deliver_to),
            )
            for route in settings.routes
        ],
    )
    say("")
    say_table(
        ("ANALYSIS", "VERSION", "COMPUTED BY"),
        [
            (one["name"], one["version"], one["runtime"] or one["reason"])
            for one in _loaded(settings)
        ],
    )
    say("")
    say("accepted: Verification and every Storage SOP class, in")
    for syntax in kept:
        say(f"  {syntax} {syntax.name}")
    _say_codes("measured, with a warning", WARNINGS)
    _say_codes("refused", REFUSALS)
    _say_codes("failed", FAILURES)
    return ExitCode.DONE


def _plans(settings: Settings) -> list[PeerPlan]:
    from dicom_node.settings.ops_plan import peer_plan

    return [peer_plan(name, one) for name, one in sorted(settings.receivers.items())]


def _loaded(settings: Settings) -> list[dict[str, str]]:
    """Load the analyses of the routes: only then is it known what computes them."""
    from dicom_node.plugins.chosen_device import chosen_device
    from dicom_node.plugins.registry import Registry, installed, runtime_of

    registry, work = Registry(installed()), settings.work
    told = []
    for name in sorted({route.analysis for route in settings.routes}):
        version_, runtime, reason = "", "", ""
        try:
            analysis, _ = registry.prepared(
                name, threads=work.threads, device=chosen_device(work.device)
            )
            version_, runtime = analysis.version, runtime_of(analysis)
        except NodeError as error:
            reason = str(error)
        told.append(
            {"name": name, "version": version_, "runtime": runtime, "reason": reason}
        )
    return told


def _say_codes(head: str, listed: Iterable[InputCode]) -> None:
    say("")
    say(f"{head}, by code:")
    for code, what, advice in listed:
        say(f"  {code}: {what}")
        say(f"    to do: {advice}")


def _yes(value: object) -> str:
    return "yes" if value else "no"

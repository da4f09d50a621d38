"""`lumbar-node probe PEER`: which results an archive would accept; nothing is sent."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dicom_node.cli.console import complain, say, say_json, say_table
from dicom_node.cli.exit_code import ExitCode
from dicom_node.cli.load_settings import read, receiver_named
from dicom_node.cli.setup_commands import reached
from dicom_node.dimse.result_classes import classes_of
from dicom_node.records import Proof

if TYPE_CHECKING:
    from dicom_node.peers.probe import Offer
    from dicom_node.settings.sections import Receiver, Settings

_LABEL_MAPS = ("labelmap-rle", "labelmap")
"""The smaller one first."""


def run_probe(arguments: argparse.Namespace) -> ExitCode:
    """Print what a peer accepts, and whether routes need more than that.

    Returns
    -------
    ExitCode
        `FAILED` if a route would send or ask what the peer does not accept.
    """
    from pydicom.uid import UID

    from dicom_node.peers.probe import probe
    from dicom_node.settings.sections import Peer

    settings = read(arguments.config)
    name = arguments.peer
    peer = receiver_named(name, settings)
    if not isinstance(peer, Peer):
        return _probe_other(name, peer, settings, as_json=arguments.json)
    offers = probe(name, peer, calling_ae=settings.node.ae_title)
    needs = dict(_needs(settings, name))
    missing = [one.name for one in offers if one.name in needs and not one.is_accepted]
    rows = [
        {
            "name": one.name,
            "sop_class_uid": one.sop_class_uid,
            "transfer_syntaxes": list(one.accepted),
            "accepted": one.is_accepted,
            "needed_by": needs.get(one.name),
        }
        for one in offers
    ]
    smallest = smallest_segmentation(offers)
    if arguments.json:
        say_json(
            {
                "peer": name,
                "missing": missing,
                "accepts": rows,
                "smallest_segmentation": smallest,
            }
        )
    else:
        say_table(
            ("WHAT", "ACCEPTED IN", "NEEDED BY"),
            [
                (
                    one.name,
                    ", ".join(UID(syntax).name for syntax in one.accepted) or "-",
                    needs.get(one.name, ""),
                )
                for one in offers
            ],
        )
    if missing:
        complain(f"lumbar-node: {name} does not accept {', '.join(missing)}")
        return ExitCode.FAILED
    if not arguments.json:
        if smallest in _LABEL_MAPS and "seg (binary)" in needs:
            say(
                f"{name} takes label maps: `segmentation: {smallest}` is the smallest; "
                "docs/viewers.md says which viewers show it"
            )
        say(f"{name} accepts all that the settings send to it and ask of it")
    return ExitCode.DONE


def smallest_segmentation(offers: Iterable[Offer]) -> str | None:
    """Return the kind of SEG that is the smallest of those that a peer takes."""
    accepted = {one.name for one in offers if one.is_accepted}
    kinds = (*_LABEL_MAPS, "binary")
    return next((kind for kind in kinds if f"seg ({kind})" in accepted), None)


def _probe_other(
    name: str, peer: Receiver, settings: Settings, *, as_json: bool
) -> ExitCode:
    """Ask a peer that is no DICOM AE; of most only an answer can be had."""
    from dicom_node.peers.fhir import capabilities
    from dicom_node.settings.web_peer import FhirPeer

    answer = reached(name, peer, settings)
    offers = capabilities(name, peer) if isinstance(peer, FhirPeer) else {}
    missing = [what for what, is_there in offers.items() if not is_there]
    if as_json:
        rows = [{"name": what, "accepted": good} for what, good in offers.items()]
        say_json({"peer": name, "missing": missing, "accepts": rows, "answer": answer})
    else:
        say(answer)
        for what, is_there in offers.items():
            say(f"{'ok   ' if is_there else 'WRONG'} {what}")
        if not offers:
            say("which results it takes is not known before it is sent one")
    if missing:
        complain(f"lumbar-node: {name} does not offer {', '.join(missing)}")
        return ExitCode.FAILED
    return ExitCode.DONE


def _needs(settings: Settings, name: str) -> Iterator[tuple[str, str]]:
    """Yield what the settings send to a peer or ask of it, with the setting."""
    yield "C-ECHO", "echo"
    peer = settings.peers[name]
    if peer.answers_c_find:
        yield "C-FIND", f"peers.{name}.answers_c_find"
    if peer.proof is Proof.FOUND:
        yield "C-FIND", f"peers.{name}.proof"
    if peer.proof is Proof.COMMITTED:
        yield "commitment", f"peers.{name}.proof"
    for route in settings.routes:
        if name in route.deliver_to:
            for role in route.objects:
                for one in classes_of(role, route.segmentation):
                    yield one.name, f"route {route.name}"
        if route.follow_up is not None and route.follow_up.peer == name:
            yield "C-FIND", f"route {route.name}, follow_up"
            yield route.follow_up.retrieve.upper(), f"route {route.name}, follow_up"

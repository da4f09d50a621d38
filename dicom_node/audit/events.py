"""The events that a node tells of, as the tables of PS3.15 A.5.3 have them."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from dicom_node.audit.message import (
    Action,
    Code,
    Message,
    Participant,
    Result,
    Subject,
    clean,
)

_APPLICATION = Code("110150", "Application")
_SOURCE = Code("110153", "Source Role ID")
_DESTINATION = Code("110152", "Destination Role ID")
_STUDY = Code("110180", "Study Instance UID")
_SOP_CLASS = Code("110181", "SOP Class UID")
_NODE_ID = Code("110182", "Node ID")
_PATIENT_NUMBER = Code("2", "Patient Number", "RFC-3881")
_ALERT = Code("110113", "Security Alert")
_PERSON, _SYSTEM_OBJECT = "1", "2"
_PATIENT_ROLE, _REPORT_ROLE, _RESOURCE_ROLE = "1", "3", "13"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Another application entity.

    Parameters
    ----------
    address
        Empty if it is not known.
    """

    ae_title: str
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Instances of one study of one patient.

    Parameters
    ----------
    patient_id
        Empty if the instances have none.
    sop_classes
        Of each instance.
    """

    patient_id: str
    study_uid: str
    sop_classes: tuple[str, ...]


def application_activity(ae_title: str, *, is_start: bool) -> Message:
    """Return that the node has started, or stops (A.5.3.1)."""
    kind = (
        Code("110120", "Application Start")
        if is_start
        else Code("110121", "Application Stop")
    )
    return Message(
        event=Code("110100", "Application Activity"),
        action=Action.EXECUTE,
        types=(kind,),
        participants=(replace(_ourselves(ae_title), role=_APPLICATION),),
    )


def begin_transferring(ae_title: str, to: Peer, content: Content) -> Message:
    """Return that the node begins to store instances at a peer (A.5.3.3)."""
    return Message(
        event=Code("110102", "Begin Transferring DICOM Instances"),
        action=Action.EXECUTE,
        participants=_transfer(ae_title, to, is_sent=True),
        subjects=_subjects(content),
    )


def instances_sent(
    ae_title: str, to: Peer, content: Content, *, failure: str = ""
) -> Message:
    """Return that a peer has stored instances, or has not (A.5.3.7).

    Parameters
    ----------
    failure
        Why the transfer failed; empty if it did not.
    """
    return Message(
        event=Code("110104", "DICOM Instances Transferred"),
        action=Action.CREATE,
        result=Result.SERIOUS_FAILURE if failure else Result.SUCCESS,
        result_text=failure,
        participants=_transfer(ae_title, to, is_sent=True),
        subjects=_subjects(content),
    )


def instances_received(ae_title: str, of: Peer, content: Content) -> Message:
    """Return that a peer has stored a series here (A.5.3.7)."""
    return Message(
        event=Code("110104", "DICOM Instances Transferred"),
        action=Action.CREATE,
        participants=_transfer(ae_title, of, is_sent=False),
        subjects=_subjects(content),
    )


def instances_accessed(
    ae_title: str, content: Content, *, user: str = "", address: str = ""
) -> Message:
    """Return that a series was analysed, or shown to a user (A.5.3.6).

    Parameters
    ----------
    user
        Who looked at it; empty for an analysis.
    """
    participants: tuple[Participant, ...] = (_ourselves(ae_title),)
    if user:
        person = Participant(user_id=user, is_requestor=True, address=address)
        participants = (person, *participants)
    return Message(
        event=Code("110103", "DICOM Instances Accessed"),
        action=Action.READ,
        participants=participants,
        subjects=_subjects(content),
    )


def query(
    ae_title: str, at: Peer, *, model_uid: str, identifier: bytes, syntax_uid: str
) -> Message:
    """Return that the node asks a peer by C-FIND (A.5.3.10).

    Parameters
    ----------
    identifier
        As it was sent, in the transfer syntax.
    """
    asked = Subject(
        identifier=model_uid,
        identifier_type=_SOP_CLASS,
        kind=_SYSTEM_OBJECT,
        role=_REPORT_ROLE,
        query=identifier,
        details=(("TransferSyntax", syntax_uid.encode()),),
    )
    return Message(
        event=Code("110112", "Query"),
        action=Action.EXECUTE,
        participants=_transfer(ae_title, at, is_sent=True),
        subjects=(asked,),
    )


def association_refused(
    ae_title: str, of: Peer, *, called_ae: str, why: str
) -> Message:
    """Return that an association was refused to somebody (A.5.3.11)."""
    return _alert(
        ae_title,
        Code("110126", "Node Authentication"),
        (Participant(user_id=of.ae_title, is_requestor=True, address=of.address),),
        about=(of.address or of.ae_title, f"{why}; called {called_ae or 'nobody'}"),
        result=Result.MINOR_FAILURE,
    )


def messages_lost(ae_title: str, count: int) -> Message:
    """Return that events were not recorded, and are again (A.5.3.11)."""
    text = f"{count} messages were lost while the spool of audit messages was full"
    return _alert(
        ae_title,
        Code("110134", "Audit Recording Started"),
        (),
        about=(ae_title, text),
        result=Result.SERIOUS_FAILURE,
    )


def user_action(
    ae_title: str, user: str, *, address: str, what: str, failure: str = ""
) -> Message:
    """Return that a user has done by the page what only users may (A.5.3.11).

    Parameters
    ----------
    what
        The verb, and to which job or peer.
    """
    return _alert(
        ae_title,
        Code("110132", "Use of Restricted Function"),
        (Participant(user_id=user, is_requestor=True, address=address),),
        about=(ae_title, f"{what}: {failure}" if failure else what),
        result=Result.MINOR_FAILURE if failure else Result.SUCCESS,
    )


def user_authenticated(
    ae_title: str, user: str, *, address: str, is_login: bool, failed: bool = False
) -> Message:
    """Return that a user has logged in, was refused, or has left (A.5.3.12)."""
    kind = Code("110122", "Login") if is_login else Code("110123", "Logout")
    person = Participant(user_id=user, is_requestor=True, address=address)
    return Message(
        event=Code("110114", "User Authentication"),
        action=Action.EXECUTE,
        types=(kind,),
        result=Result.MINOR_FAILURE if failed else Result.SUCCESS,
        participants=(person, _ourselves(ae_title)),
    )


def _alert(
    ae_title: str,
    kind: Code,
    others: Iterable[Participant],
    *,
    about: tuple[str, str],
    result: Result,
) -> Message:
    node, text = map(clean, about)
    subject = Subject(
        identifier=node,
        identifier_type=_NODE_ID,
        kind=_SYSTEM_OBJECT,
        role=_RESOURCE_ROLE,
        details=(("Alert Description", text.encode()),),
    )
    return Message(
        event=_ALERT,
        action=Action.EXECUTE,
        types=(kind,),
        result=result,
        result_text="" if result is Result.SUCCESS else text,
        participants=(_ourselves(ae_title), *others),
        subjects=(subject,),
    )


def _ourselves(ae_title: str, *, is_requestor: bool = False) -> Participant:
    return Participant(
        user_id=f"lumbar-node {os.getpid()}",
        alternative_id=f"AETITLES={ae_title}",
        is_requestor=is_requestor,
        address=socket.gethostname(),
    )


def _transfer(
    ae_title: str, other: Peer, *, is_sent: bool
) -> tuple[Participant, Participant]:
    ours = replace(
        _ourselves(ae_title, is_requestor=is_sent),
        role=_SOURCE if is_sent else _DESTINATION,
    )
    theirs = Participant(
        user_id=other.ae_title,
        alternative_id=f"AETITLES={other.ae_title}",
        is_requestor=not is_sent,
        role=_DESTINATION if is_sent else _SOURCE,
        address=other.address,
    )
    return (ours, theirs) if is_sent else (theirs, ours)


def _subjects(content: Content) -> tuple[Subject, Subject]:
    study = Subject(
        identifier=content.study_uid,
        identifier_type=_STUDY,
        kind=_SYSTEM_OBJECT,
        role=_REPORT_ROLE,
        sop_classes=tuple(sorted(Counter(content.sop_classes).items())),
    )
    patient = Subject(
        identifier=content.patient_id,
        identifier_type=_PATIENT_NUMBER,
        kind=_PERSON,
        role=_PATIENT_ROLE,
    )
    return study, patient

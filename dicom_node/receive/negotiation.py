"""What is answered to an A-ASSOCIATE-RQ: which contexts, or which rejection."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from dicom_node.dimse import contexts, pdu
from dicom_node.dimse.storage_commitment import PUSH_MODEL

_PERMANENT, _TRANSIENT = 1, 2
_BY_USER, _BY_PRESENTATION = 1, 3
_CALLING_UNKNOWN, _CALLED_UNKNOWN = 3, 7
_NO_COMMON_GROUND = 1
_LIMIT_EXCEEDED = 2


@dataclass(frozen=True, slots=True)
class Rejection:
    """Result, source and reason of a rejection (PS3.8 table 9-21)."""

    result: int
    source: int
    reason: int


CALLED_UNKNOWN = Rejection(_PERMANENT, _BY_USER, _CALLED_UNKNOWN)
CALLING_UNKNOWN = Rejection(_PERMANENT, _BY_USER, _CALLING_UNKNOWN)
NO_CONTEXT = Rejection(_PERMANENT, _BY_USER, _NO_COMMON_GROUND)
TOO_MANY = Rejection(_TRANSIENT, _BY_PRESENTATION, _LIMIT_EXCEEDED)

REJECTIONS: Mapping[Rejection, str] = {
    CALLED_UNKNOWN: "called AE title not recognised",
    CALLING_UNKNOWN: "calling AE title not recognised",
    NO_CONTEXT: "no presentation context in common",
    TOO_MANY: "too many associations",
}
"""Why an association is rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedContext:
    """What an accepted presentation context carries."""

    sop_class_uid: str
    transfer_syntax_uid: str


AcceptedContexts = Mapping[int, AcceptedContext]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What a requestor proposed and what we take of it.

    Parameters
    ----------
    contexts
        The accepted ones by their id; may be none.
    replies
        The answers to all.
    roles
        What is granted: that of a reporter of commitments.
    """

    request: pdu.AssociateRequest
    contexts: AcceptedContexts
    replies: tuple[pdu.ContextReply, ...]
    roles: tuple[pdu.Roles, ...] = ()

    @property
    def only_verifies(self) -> bool:
        """Whether nothing but C-ECHO can come by the association."""
        return all(
            context.sop_class_uid == contexts.VERIFICATION
            for context in self.contexts.values()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What is offered to an AE title beside Verification.

    Parameters
    ----------
    takes_instances
        Whether it may store here.
    takes_reports
        Whether it is asked for storage commitment, and so may report of it.
    """

    takes_instances: bool = True
    takes_reports: bool = False

    def has(self, abstract_syntax: str) -> bool:
        """Tell whether a SOP class is offered."""
        if abstract_syntax == PUSH_MODEL:
            return self.takes_reports
        if abstract_syntax == contexts.VERIFICATION:
            return True
        return self.takes_instances and contexts.is_supported(abstract_syntax)


def services_for(
    calling_ae: str, senders: Collection[str] | None, reporters: Collection[str]
) -> Services:
    """Return what is offered to an AE title.

    Parameters
    ----------
    senders
        Titles that may store here; None is all.
    reporters
        Titles that are asked for storage commitment.
    """
    takes_reports = calling_ae in reporters
    may_send = senders is None or calling_ae in senders
    # Whoever may neither store nor report is rejected as a whole, and not by context.
    return Services(
        takes_instances=may_send or not takes_reports, takes_reports=takes_reports
    )


def negotiate(
    request: pdu.AssociateRequest,
    services: Services = Services(),
) -> Agreement:
    """Decide on each proposed presentation context."""
    accepted: dict[int, AcceptedContext] = {}
    replies: list[pdu.ContextReply] = []
    for context in request.contexts:
        chosen = None
        result = pdu.ABSTRACT_SYNTAX_NOT_SUPPORTED
        if services.has(context.abstract_syntax):
            chosen = contexts.choose_syntax(
                context.abstract_syntax, context.transfer_syntaxes
            )
            result = pdu.TRANSFER_SYNTAXES_NOT_SUPPORTED
        if chosen is not None:
            accepted[context.id] = AcceptedContext(
                sop_class_uid=context.abstract_syntax, transfer_syntax_uid=chosen
            )
            result = pdu.ACCEPTED
        # Not significant in a refusal (PS3.8 table 9-18), but it has to be there.
        syntax = chosen or next(
            iter(context.transfer_syntaxes), contexts.IMPLICIT_LITTLE
        )
        replies.append(
            pdu.ContextReply(id=context.id, result=result, transfer_syntax=syntax)
        )
    return Agreement(
        request=request,
        contexts=accepted,
        replies=tuple(replies),
        roles=tuple(_granted(request)) if services.takes_reports else (),
    )


def _granted(request: pdu.AssociateRequest) -> Iterator[pdu.Roles]:
    """Yield the role of a reporter; it is the SCP of the commitment, and we the SCU."""
    for one in request.roles:
        if one.sop_class_uid == PUSH_MODEL:
            yield replace(one, is_scu=False)

"""What the conformance statement says of other services than those of DIMSE."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from dicom_node.audit import events
from dicom_node.dimse import status
from dicom_node.peers import fhir, mllp
from dicom_node.peers.stow import NEVER, STORED_SOMEHOW

_REPORT_ANSWERS = (
    (
        status.SUCCESS,
        "Success",
        "the report is on disk; also one that comes again, of which the first counts",
    ),
    (
        status.INVALID_ARGUMENT,
        "Invalid argument value",
        "the transaction is unknown, closed or of another AE title; or the report has "
        "no Transaction UID, another event type than 1 and 2, or is too long",
    ),
    (status.PROCESSING_FAILURE, "Processing failure", "the disk failed; report again"),
)
"""What is answered to N-EVENT-REPORT."""
_PEER = events.Peer(ae_title="PEER")
_CONTENT = events.Content(patient_id="", study_uid="", sop_classes=())
_AUDITED = (
    (events.application_activity("", is_start=True), "the node has started"),
    (events.application_activity("", is_start=False), "the node stops"),
    (
        events.begin_transferring("", _PEER, _CONTENT),
        "results are sent to a peer that has accepted the association",
    ),
    (
        events.instances_sent("", _PEER, _CONTENT),
        "a peer has stored results, or has refused them; a series that was received is "
        "complete",
    ),
    (
        events.instances_accessed("", _CONTENT),
        "a series was analysed, or a user of the page was shown whose it is",
    ),
    (
        events.query("", _PEER, model_uid="", identifier=b"", syntax_uid=""),
        "a peer is asked by C-FIND",
    ),
    (
        events.association_refused("", _PEER, called_ae="", why=""),
        "an association was rejected, or its handshake of TLS; once a minute of one "
        "caller and reason, 120 times of all callers of an acceptor",
    ),
    (
        events.user_action("", "", address="", what=""),
        "a user of the page has retried, resent, re-run or cancelled",
    ),
    (
        events.messages_lost("", 0),
        "messages were lost because too many waited; says how many",
    ),
    (
        events.user_authenticated("", "", address="", is_login=True),
        "a user of the page has logged in, or was refused",
    ),
    (
        events.user_authenticated("", "", address="", is_login=False),
        "a user of the page has logged out",
    ),
)
"""An example of each audit message, and when it is made."""
_CONFLICT = 409
_STATUS_CODES = 0x10000


def report_answers() -> Iterator[Sequence[str]]:
    """Yield what is answered to N-EVENT-REPORT."""
    for code, meaning, when in _REPORT_ANSWERS:
        yield f"`{code:04X}`", meaning, when


def actions() -> Iterator[Sequence[str]]:
    """Yield what the node makes of the answer to an N-ACTION."""
    yield f"`{status.SUCCESS:04X}`", "waits for the report"
    for code in filter(status.is_temporary, range(_STATUS_CODES)):
        yield f"`{code:04X}`", "asks again later, by another transaction"
    text = "the job is failed (`commitment-refused`), and the results count as stored"
    yield "any other", text


def web_answers() -> Iterator[Sequence[str]]:
    """Yield what the node makes of the answer of a web service."""
    said = " or ".join(f"`{code}`" for code in sorted(STORED_SOMEHOW - {_CONFLICT}))
    yield f"{said}, and DICOM JSON that names the instance in 0008,1199", "stored"
    yield (
        f"{said} or `{_CONFLICT}`, and DICOM JSON that names it in 0008,1198",
        "as the Failure Reason (0008,1197) says, see 3.2.3; `0111` counts as stored",
    )
    never = ", ".join(f"`{code}`" for code in sorted({*NEVER, _CONFLICT}))
    yield f"{never}, and no more", "gives the instance up and says so"
    yield "anything else, no answer, or one that is cut off", "tries again later"


def fhir_answers() -> Iterator[Sequence[str]]:
    """Yield what the node makes of the answer of a FHIR server."""
    text = "`200`, and a `transaction-response` with `200` or `201` for each entry"
    yield text, "stored"
    yield _listed(fhir.NEVER), "the job is `failed`"
    yield "anything else, no answer, or one that is cut off", "tries again later"


def hl7_answers() -> Iterator[Sequence[str]]:
    """Yield what the node makes of an acknowledgement."""
    yield f"{_listed(mllp.ACCEPTED)}, for our MSH-10", "stored"
    refused, passing = _listed(mllp.REFUSED), _listed(mllp.PASSING)
    yield f"{refused}, and an error among {passing}", "tries again later"
    yield f"{refused} else", "the job is `failed`"
    rejected, never = _listed(mllp.REJECTED), _listed(mllp.NEVER)
    yield f"{rejected}, and an error among {never}", "the job is `failed`"
    yield f"{rejected} else", "tries again later"
    text = "anything else, for another MSH-10, no answer, or one that is cut off"
    yield text, "tries again later"


def _listed(codes: Iterable[object]) -> str:
    return ", ".join(f"`{code}`" for code in sorted(map(str, codes)))


def audited() -> Iterator[Sequence[str]]:
    """Yield the audit messages, and when they are made."""
    for message, when in _AUDITED:
        kinds = ", ".join(f"{one.meaning} ({one.value})" for one in message.types)
        yield f"{message.event.meaning} ({message.event.value})", kinds, when

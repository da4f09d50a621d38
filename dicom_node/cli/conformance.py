"""The tables of `docs/conformance.md` and `docs/inputs.md`, made from the code."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from itertools import groupby
from pathlib import Path

from pydantic import BaseModel
from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.tag import Tag
from pydicom.uid import UID, AllTransferSyntaxes

from dicom_node.cli.conformance_services import (
    actions,
    audited,
    fhir_answers,
    hl7_answers,
    report_answers,
    web_answers,
)
from dicom_node.corrections.read_seg import SEGMENTATION_CLASSES
from dicom_node.decode.pick_slices import MR_IMAGE_CLASSES
from dicom_node.dimse import pdu, status
from dicom_node.dimse.contexts import (
    PROPOSED_SYNTAXES,
    VERIFICATION,
    is_kept_syntax,
)
from dicom_node.dimse.result_classes import (
    LABEL_MAP,
    RLE,
    classes_of,
)
from dicom_node.dimse.status import StoreAnswer, answer_of
from dicom_node.encode.result_context import DEFAULT_ROLES, ROLES
from dicom_node.encode.source_attributes import MUST_BE_THERE, STUDY_KEYWORDS
from dicom_node.failure_codes import FAILURES
from dicom_node.input_codes import REFUSALS, WARNINGS, InputCode
from dicom_node.peers.query import SERIES_KEYS, STUDY_KEYS
from dicom_node.peers.retrieve import IMAGE_SYNTAXES
from dicom_node.receive.negotiation import REJECTIONS
from dicom_node.receive.pdu_stream import MAX_PDU_BYTES
from dicom_node.settings.audit_section import Audit
from dicom_node.settings.hl7_peer import Hl7Peer
from dicom_node.settings.sections import (
    Accept,
    FollowUp,
    Node,
    Peer,
    ResultSeries,
    Route,
    Series,
)
from dicom_node.settings.tls_sections import AcceptorTls, RequestorTls
from dicom_node.settings.web_peer import FhirPeer, WebPeer

_FIRST_ACCEPTED = "when the content was first accepted"
OWN_ATTRIBUTES = {
    "SpecificCharacterSet": "see 6",
    "InstanceCreationDate": _FIRST_ACCEPTED,
    "InstanceCreationTime": _FIRST_ACCEPTED,
    "SeriesDate": _FIRST_ACCEPTED,
    "SeriesTime": _FIRST_ACCEPTED,
    "Modality": "see 5.1",
    "Manufacturer": "`lumbar-node`",
    "SeriesDescription": "see 5.1",
    "ManufacturerModelName": "name of the analysis",
    "TimezoneOffsetFromUTC": "that of the source; where it states none, that of "
    "`node.time_zone`",
    "DeviceSerialNumber": "beginning of the SHA-256 of the weights, or `none`",
    "SoftwareVersions": "of the node and of the analysis",
    "ContributingEquipmentSequence": "the node",
    "SeriesInstanceUID": "derived, see 3.2.3",
    "SOPInstanceUID": "derived, see 3.2.3",
    "SeriesNumber": "see 5.1",
    "InstanceNumber": "counted from 1 in its series",
}
"""What every result has of our own, and its value; a test compares them."""

_NAMES = {LABEL_MAP: "Label Map Segmentation Storage"}
"""What pydicom 3.0 does not know."""

_ANSWERS = (
    (status.SUCCESS, "Success", "stored, and synchronised to disk"),
    (
        status.OUT_OF_RESOURCES,
        "Refused: Out of Resources",
        "less than `spool.min_free_gb` is left, at the beginning or in the middle, or "
        "the disk failed, or memory or descriptors are short; send again later",
    ),
    (
        status.MISMATCH,
        "Error: Data Set does not match SOP Class",
        "SOP class or instance of dataset and command differ",
    ),
    (
        status.CANNOT_UNDERSTAND,
        "Error: Cannot understand",
        "the dataset is none, lacks a UID, or breaks off before it; or none follows",
    ),
    (status.PROCESSING_FAILURE, "Processing failure", "a fault of the node"),
    (
        status.SOP_CLASS_NOT_SUPPORTED,
        "SOP class not supported",
        "a C-STORE in a presentation context of Verification",
    ),
    (
        status.UNRECOGNISED_OPERATION,
        "Unrecognized operation",
        "any request but C-STORE, C-ECHO and C-CANCEL",
    ),
)
"""What our SCP answers; the codes are those of `dicom_node.dimse.status`."""

_STATUS_CODES = 0x10000
_SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("node", Node),
    ("node.tls", AcceptorTls),
    ("peers.NAME", Peer),
    ("peers.NAME.tls", RequestorTls),
    ("series", Series),
    ("web_peers.NAME", WebPeer),
    ("fhir_peers.NAME", FhirPeer),
    ("hl7_peers.NAME", Hl7Peer),
    ("audit", Audit),
    ("routes", Route),
    ("routes.accept", Accept),
    ("routes.result_series", ResultSeries),
    ("routes.follow_up", FollowUp),
)
_MARK = "<!-- table: {name} -->\n"
_END = "<!-- end of table -->"


def conformance_tables() -> dict[str, str]:
    """Return the tables of the conformance statement as Markdown, by their names."""
    return {
        "implementation": _table(("What", "Value"), _implementation()),
        "analysed": _table(("SOP class", "UID"), _classes(sorted(MR_IMAGE_CLASSES))),
        "corrected": _table(
            ("SOP class", "UID"), _classes(sorted(SEGMENTATION_CLASSES))
        ),
        "syntaxes": _table(("Transfer syntax", "UID"), _accepted_syntaxes()),
        "find": _table(("Level", "Return keys"), _query_keys()),
        "get": _table(("Transfer syntax", "UID"), _classes(IMAGE_SYNTAXES)),
        "results": _table(
            ("Object", "SOP class", "UID", "Transfer syntaxes", "By default"),
            _results(),
        ),
        "series": _table(
            ("Object", "Modality", "Series Number", "Series Description says"),
            _series(),
        ),
        "rejections": _table(("Result", "Source", "Reason", "Meaning"), _rejections()),
        "answers": _table(("Status", "Meaning", "When"), _answers()),
        "study": _table(("Attribute", "Tag", "If the source has none"), _study()),
        "own": _table(("Attribute", "Tag", "Value"), _own()),
        "reports": _table(("Status", "Meaning", "When"), report_answers()),
        "audit": _table(("Event", "Type", "When"), audited()),
        "actions": _table(("Status of the peer", "What the node does"), actions()),
        "stow": _table(("Answer", "What the node does"), web_answers()),
        "fhir": _table(("Answer", "What the node does"), fhir_answers()),
        "hl7": _table(("MSA-1", "What the node does"), hl7_answers()),
        "status": _table(("Status of the peer", "What the node does"), _statuses()),
        "settings": _table(("Setting", "Default", "Meaning"), _settings()),
    }


def input_tables() -> dict[str, str]:
    """Return the tables of what comes in as Markdown, by their names."""
    head = ("code", "what", "what to do")
    return {
        "warnings": _table(head, _codes(WARNINGS)),
        "refusals": _table(head, _codes(REFUSALS)),
        "failures": _table(head, _codes(FAILURES)),
    }


TABLES: Mapping[str, Callable[[], dict[str, str]]] = {
    "conformance.md": conformance_tables,
    "inputs.md": input_tables,
}
"""By the name of the document that has a place for each of them."""


def fill(document: str, tables: Mapping[str, str]) -> str:
    """Return a document with each of its tables made anew.

    Raises
    ------
    ValueError
        If a table has no place in it.
    """
    for name, table in tables.items():
        begin = _MARK.format(name=name)
        pattern = re.escape(begin) + ".*?" + re.escape(_END)
        made = begin + table + _END
        document, count = re.subn(pattern, lambda _: made, document, flags=re.DOTALL)  # noqa: B023 - used at once
        if count != 1:
            message = f"the document has {count} places for the table {name}"
            raise ValueError(message)
    return document


def main() -> None:
    """Make the tables of the documents named on the command line anew."""
    for path in map(Path, sys.argv[1:]):
        filled = fill(path.read_text(encoding="utf-8"), TABLES[path.name]())
        path.write_text(filled, encoding="utf-8")


def _table(heads: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _codes(listed: Iterable[InputCode]) -> Iterator[Sequence[str]]:
    for code, what, advice in listed:
        yield f"`{code}`", what, advice


def _name(uid: str) -> str:
    return _NAMES.get(uid) or UID(uid).name


def _classes(uids: Sequence[str]) -> Iterator[Sequence[str]]:
    for uid in uids:
        yield _name(uid), f"`{uid}`"


def _implementation() -> Iterator[Sequence[str]]:
    yield "Implementation Class UID", f"`{pdu.IMPLEMENTATION_UID}`"
    yield "Implementation Version Name", f"`{pdu.IMPLEMENTATION_NAME}`"
    yield "Maximum Length Received", f"{MAX_PDU_BYTES} bytes"
    yield "Verification", f"SCU and SCP, `{VERIFICATION}`"


def _query_keys() -> Iterator[Sequence[str]]:
    for level, keys in (("STUDY", STUDY_KEYS), ("SERIES", SERIES_KEYS)):
        names = (f"{dictionary_description(key)} {Tag(key)}" for key in keys)
        yield level, ", ".join(names)


def _accepted_syntaxes() -> Iterator[Sequence[str]]:
    yield from _classes([uid for uid in AllTransferSyntaxes if is_kept_syntax(uid)])


def _results() -> Iterator[Sequence[str]]:
    uncompressed = ", ".join(_name(uid) for uid in PROPOSED_SYNTAXES)
    for role in ROLES:
        for uid in dict.fromkeys(one.sop_class_uid for one in classes_of(role)):
            syntaxes = f"{uncompressed}; or {_name(RLE)}"
            default = "yes" if role in DEFAULT_ROLES and uid != LABEL_MAP else "no"
            yield (
                role,
                _name(uid),
                f"`{uid}`",
                syntaxes if uid == LABEL_MAP else uncompressed,
                default,
            )


def _series() -> Iterator[Sequence[str]]:
    for offset, role in enumerate(ROLES):
        modality = classes_of(role)[0].modality
        number = "`result_series.number`" + (f" + {offset}" if offset else "")
        yield role, modality, number, f"`{role.upper()}`"


def _rejections() -> Iterator[Sequence[str]]:
    for why, meaning in sorted(REJECTIONS.items(), key=lambda row: astuple(row[0])):
        yield str(why.result), str(why.source), str(why.reason), meaning


def _answers() -> Iterator[Sequence[str]]:
    for code, meaning, when in _ANSWERS:
        yield f"`{code:04X}`", meaning, when


def _study() -> Iterator[Sequence[str]]:
    """Yield what results take from the study of their source, by tag."""
    for keyword, name, tag in _by_tag(STUDY_KEYWORDS):
        yield name, tag, "empty" if keyword in MUST_BE_THERE else "absent"


def _own() -> Iterator[Sequence[str]]:
    """Yield what results have of the node's own, by tag."""
    for keyword, name, tag in _by_tag(OWN_ATTRIBUTES):
        yield name, tag, OWN_ATTRIBUTES[keyword]


def _by_tag(keywords: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Yield keyword, name and tag of attributes, in the order of the tags."""
    tags = {int(tag_for_keyword(keyword) or 0): keyword for keyword in keywords}
    for tag, keyword in sorted(tags.items()):
        shown = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
        yield keyword, dictionary_description(tag), shown


def _statuses() -> Iterator[Sequence[str]]:
    """Yield the ranges of codes that mean the same."""
    means = {
        StoreAnswer.STORED: "counts the instance as stored",
        StoreAnswer.RETRY: "tries again later",
        StoreAnswer.REFUSED: "gives the instance up and says so",
    }
    for meaning, codes in groupby(range(_STATUS_CODES), key=answer_of):
        listed = list(codes)
        if meaning is StoreAnswer.REFUSED:
            continue
        ends = dict.fromkeys((listed[0], listed[-1]))
        yield " to ".join(f"`{code:04X}`" for code in ends), means[meaning]
    yield "any other", means[StoreAnswer.REFUSED]


def _settings() -> Iterator[Sequence[str]]:
    for section, model in _SECTIONS:
        for key, field in model.model_fields.items():
            default = field.get_default(call_default_factory=True)
            if isinstance(default, BaseModel):
                continue
            required = field.is_required()
            shown = "must be given" if required else f"`{json.dumps(default)}`"
            yield f"`{section}.{key}`", shown, field.description or ""


if __name__ == "__main__":
    main()

"""A report as FHIR R4: one transaction with a DiagnosticReport and its Observations.

Plain JSON, and so no library at run time; the tests read it by one that is not ours.

References
----------
FHIR R4: DiagnosticReport, Observation, `http.html#transaction`, `#ccreate`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_OID, uuid5

from dicom_node.encode.report_content import (
    Coded,
    Group,
    Item,
    Quantity,
    ReportContent,
)
from dicom_node.identifiers import MANUFACTURER

_OURS = "urn:uuid:0d6f4f0e-5f0a-4a3c-9a0d-6f6e1a6c2b11"
"""Of our private codes and extensions: made once, for this alone."""
_SYSTEMS = {
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "SCT": "http://snomed.info/sct",
    "LN": "http://loinc.org",
    "UCUM": "http://unitsofmeasure.org",
    "NCIt": "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl",
    "99LUMBAR": _OURS,
}
"""URIs of coding schemes (PS3.16 table 8-1)."""
_ABSENT = {"114006": "error", "114007": "not-performed"}
"""What R4 has for the qualifiers of CID 42; its binding is extensible."""
_UID = "urn:dicom:uid"
_TERMS = "http://terminology.hl7.org/CodeSystem"
_REPLACES = "http://hl7.org/fhir/StructureDefinition/diagnosticReport-replaces"
_GROUP = Coded("125007", "DCM", "Measurement Group")

Json = dict[str, Any]


def fhir_bundle(content: ReportContent, *, patient_system: str | None) -> bytes:
    """Return the transaction that creates a report, unless the server has it.

    Each resource is created only if none has its identifier, so that a transaction
    whose answer was lost may come again.

    Parameters
    ----------
    patient_system
        URI of the system of Patient ID; None names it without one.
    """
    shared = _shared(content, patient_system)
    observations = [
        _observation(content, shared, group) for group in content.groups if group.items
    ]
    report = _report(content, shared, observations)
    entries = [_entry(one) for one in (*observations, report)]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    text = json.dumps(bundle, ensure_ascii=False, allow_nan=False)
    # A name that no UTF-8 holds must not end the delivery.
    return text.encode("utf-8", "replace")


def _entry(resource: Json) -> Json:
    (identifier, *_) = resource["identifier"]
    wanted = quote(f"{identifier['system']}|{identifier['value']}", safe="")
    return {
        "fullUrl": _full_url(identifier["value"]),
        "resource": resource,
        "request": {
            "method": "POST",
            "url": resource["resourceType"],
            "ifNoneExist": f"identifier={wanted}",
        },
    }


def _full_url(name: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_OID, name)}"


def _shared(content: ReportContent, patient_system: str | None) -> Json:
    """Return what a report and its observations say alike."""
    subject: Json = {"type": "Patient"}
    patient_id = content.said("PatientID")
    if patient_id:
        system = {"system": patient_system} if patient_system else {}
        subject["identifier"] = {**system, "value": patient_id}
        issuer = content.said("IssuerOfPatientID")
        if issuer:  # the same ID of another issuer is another patient
            subject["identifier"]["assigner"] = {"display": issuer}
    else:
        subject["display"] = "no Patient ID in the images"
    at = _moment(content, "StudyDate", "StudyTime")
    return {
        "language": content.language,
        "subject": subject,
        **({"effectiveDateTime": at} if at else {}),
    }


def _report(content: ReportContent, shared: Json, observations: list[Json]) -> Json:
    issued = _moment(content, "ContentDate", "ContentTime")
    said = "\n".join((content.paragraph, *content.remarks)).strip()
    report: Json = {
        "resourceType": "DiagnosticReport",
        **shared,
        "identifier": [_identifier(content.uid)],
        # Neither complete nor verified: no physician has seen it.
        "status": "partial",
        "category": [{"coding": [{"system": f"{_TERMS}/v2-0074", "code": "RAD"}]}],
        "code": _concept(content.procedure),
        "imagingStudy": [
            {
                "type": "ImagingStudy",
                "identifier": _identifier(content.said("StudyInstanceUID")),
            }
        ],
    }
    if observations:  # an array in FHIR is never empty
        report["result"] = [
            {"reference": _full_url(one["identifier"][0]["value"])}
            for one in observations
        ]
    accession = content.said("AccessionNumber")
    if accession:
        report["basedOn"] = [
            {
                "type": "ServiceRequest",
                "identifier": {
                    "type": {
                        "coding": [{"system": f"{_TERMS}/v2-0203", "code": "ACSN"}]
                    },
                    "value": accession,
                },
            }
        ]
    if "T" in issued:
        report["issued"] = issued
    if said:
        report["conclusion"] = said
    if content.replaces:
        earlier = {
            "type": "DiagnosticReport",
            "identifier": _identifier(content.replaces),
        }
        report["extension"] = [{"url": _REPLACES, "valueReference": earlier}]
    return report


def _observation(content: ReportContent, shared: Json, group: Group) -> Json:
    equipment = f"{MANUFACTURER}, {content.said('ManufacturerModelName')}"
    return {
        "resourceType": "Observation",
        **shared,
        "identifier": [{"system": _OURS, "value": f"{content.uid}/{group.uid}"}],
        "status": "preliminary",
        "category": [
            {
                "coding": [
                    {"system": f"{_TERMS}/observation-category", "code": "imaging"}
                ]
            }
        ],
        "code": _concept(_GROUP),
        "bodySite": {**_concept(group.site), "text": group.label},
        "device": {"display": equipment},
        "component": [_component(item) for item in group.items],
    }


def _component(item: Item) -> Json:
    component: Json = {"code": {**_concept(item.concept), "text": item.name}}
    extensions = [
        *(_narrowed("modifier", one) for one in item.modifiers),
        *(_narrowed("property", one) for one in item.properties),
        *(
            [{"url": f"{_OURS}:remark", "valueString": item.remark}]
            if item.remark
            else []
        ),
    ]
    if extensions:
        component["extension"] = extensions
    if item.is_absent and isinstance(item.value, Coded):
        component["dataAbsentReason"] = _why_absent(item.value)
    else:
        component |= dict(_value(item.value))
    return component


def _why_absent(qualifier: Coded) -> Json:
    """Return why there is no value, by its own code and by that of FHIR, if any."""
    reason = _concept(qualifier)
    code = _ABSENT.get(qualifier.value)
    if code is not None:
        system = f"{_TERMS}/data-absent-reason"
        reason["coding"].append({"system": system, "code": code})
    return reason


def _narrowed(kind: str, item: Item) -> Json:
    """Return a modifier or a property, for which FHIR has no place of its own."""
    ((key, value),) = _value(item.value)
    return {
        "url": f"{_OURS}:{kind}",
        "extension": [
            {"url": "name", "valueCodeableConcept": _concept(item.concept)},
            {"url": "value", key: value},
        ],
    }


def _value(value: Quantity | Coded | str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Quantity):
        yield (
            "valueQuantity",
            {
                "value": float(value.number),
                "unit": value.unit.value,
                "system": _SYSTEMS["UCUM"],
                "code": value.unit.value,
            },
        )
    elif isinstance(value, Coded):
        yield "valueCodeableConcept", _concept(value)
    else:
        yield "valueString", value


def _concept(code: Coded) -> Json:
    """Return a concept, with its meaning as text: no server need know it as display."""
    system = _SYSTEMS.get(code.scheme)
    coding = {"code": code.value, **({"system": system} if system else {})}
    return {"coding": [coding], "text": code.meaning}


def _identifier(uid: str) -> Mapping[str, str]:
    return {"system": _UID, "value": f"urn:oid:{uid}"}


def _moment(content: ReportContent, date: str, time: str) -> str:
    """Return a moment; the day alone where the zone is unknown, empty if none is."""
    day, clock = content.said(date), content.said(time).partition(".")[0]
    try:
        at = datetime.strptime(day, "%Y%m%d")  # noqa: DTZ007 - a day has no zone
        at += timedelta(hours=int(clock[:2] or 0), minutes=int(clock[2:4] or 0))
        at += timedelta(seconds=int(clock[4:6] or 0))
    except ValueError:
        return ""
    offset = content.said("TimezoneOffsetFromUTC")
    if not clock or not offset:
        return at.date().isoformat()
    minutes = int(offset[:3]) * 60 + int(offset[0] + offset[3:5])
    return at.replace(tzinfo=timezone(timedelta(minutes=minutes))).isoformat()

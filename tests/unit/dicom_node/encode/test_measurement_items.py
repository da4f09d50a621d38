"""What stands beside a structure where there is room for little."""

from __future__ import annotations

from analysis.contract.concepts import Concept
from analysis.contract.measurement import Grade
from analysis.contract.result import Finding
from dicom_node.encode.measurement_items import heading
from dicom_node.language import language_of

BODY = Concept("1", "99LUMBAR", "L1 vertebra")
LOSS = Concept("2", "99LUMBAR", "Vertebral height loss")
MODERATE = Concept("3", "99LUMBAR", "Moderate")
ABSENT = Concept("272519000", "SCT", "Absent")


def graded(member: Concept) -> Finding:
    return Finding(site=BODY, label="L1", grades=(Grade(concept=LOSS, value=member),))


def test_a_heading_tells_the_first_grade() -> None:
    assert (
        heading(graded(MODERATE), language_of("en"))
        == "L1 vertebra, Vertebral height loss Moderate"
    )


def test_a_heading_does_not_tell_what_is_absent() -> None:
    assert heading(graded(ABSENT), language_of("en")) == "L1 vertebra"

"""What users do by the page, as audit messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.requests import Request

from dicom_node.audit import events
from dicom_node.audit.auditor import Auditor
from dicom_node.jobs.job_reader import JobStory

if TYPE_CHECKING:
    from dicom_node.ops.page.users import User

NOBODY = "unknown"
"""Not the name that somebody typed: it may be a password."""


def address_of(request: Request) -> str:
    """Return from where somebody asks; empty if that is not known."""
    return "" if request.client is None else request.client.host


def tell_shown(
    auditor: Auditor,
    request: Request,
    user: User,
    shown: tuple[JobStory, Mapping[str, str]],
) -> None:
    """Tell that a user was shown whose series it is.

    Parameters
    ----------
    shown
        The job, and attributes of the patient by keyword.
    """
    story, patient = shown
    content = events.Content(
        patient_id=patient.get("PatientID", ""),
        study_uid=story.row.study_uid,
        sop_classes=(),
    )
    auditor.tell(
        events.instances_accessed(
            auditor.ae_title, content, user=user.name, address=address_of(request)
        )
    )


def tell_action(
    auditor: Auditor, request: Request, user: User | None, what: str, failure: str = ""
) -> None:
    """Tell that a user has asked for an action, and how it ended."""
    auditor.tell(
        events.user_action(
            auditor.ae_title,
            NOBODY if user is None else user.name,
            address=address_of(request),
            what=what,
            failure=failure,
        )
    )


def tell_login(
    auditor: Auditor, request: Request, name: str, *, is_login: bool = True
) -> None:
    """Tell that a user has logged in or out; `NOBODY` was refused."""
    auditor.tell(
        events.user_authenticated(
            auditor.ae_title,
            name,
            address=address_of(request),
            is_login=is_login,
            failed=name == NOBODY,
        )
    )

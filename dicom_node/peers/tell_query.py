"""A query as an audit message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynetdicom.dsutils import encode
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import
    StudyRootQueryRetrieveInformationModelFind,
)

from dicom_node.audit import events
from dicom_node.dimse.contexts import EXPLICIT_LITTLE

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from dicom_node.audit.auditor import Auditor
    from dicom_node.settings.sections import Peer


def tell_query(auditor: Auditor, peer: Peer, query: Dataset) -> None:
    """Tell that a peer is asked by C-FIND, if anybody wants to know."""
    if not auditor.is_wanted:
        return
    identifier = encode(query, is_implicit_vr=False, is_little_endian=True)
    auditor.tell(
        events.query(
            auditor.ae_title,
            events.Peer(ae_title=peer.ae_title, address=peer.host),
            model_uid=str(StudyRootQueryRetrieveInformationModelFind),
            identifier=identifier or b"",
            syntax_uid=EXPLICIT_LITTLE,
        )
    )

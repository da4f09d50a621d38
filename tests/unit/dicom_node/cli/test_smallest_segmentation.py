"""Which kind of SEG a probe recommends."""

from __future__ import annotations

import pytest

from dicom_node.cli.probe_command import smallest_segmentation
from dicom_node.dimse.result_classes import RESULT_CLASSES
from dicom_node.peers.probe import Offer


@pytest.mark.parametrize(
    ("accepted", "smallest"),
    [
        ({"binary", "labelmap", "labelmap-rle"}, "labelmap-rle"),
        ({"binary", "labelmap"}, "labelmap"),
        ({"binary"}, "binary"),
        (set(), None),
    ],
)
def test_the_smallest_segmentation_is_one_that_the_peer_takes(
    accepted: set[str], smallest: str | None
) -> None:
    offers = [
        Offer(
            name=one.name,
            sop_class_uid=one.sop_class_uid,
            accepted=one.syntaxes if one.variant in accepted else (),
        )
        for one in RESULT_CLASSES
    ]
    assert smallest_segmentation(offers) == smallest

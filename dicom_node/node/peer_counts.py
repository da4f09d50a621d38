"""Asking the peers that answer C-FIND how many instances a series has."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from dicom_node.series.arriving_series import SeriesCount
from dicom_node.series.assembler import CountQuestion
from dicom_node.series.count_confirmation import CountConfirmer
from dicom_node.settings.sections import Settings


def count_confirmer(settings: Settings) -> CountConfirmer | None:
    """Return who asks, or None if no peer is to be asked."""
    importing = threading.Lock()
    peers = {
        peer.ae_title: peer
        for peer in settings.peers.values()
        if peer.answers_c_find and peer.may_send
    }
    if not peers or not settings.series.confirm_by_c_find:
        return None

    believe_after = timedelta(hours=settings.series.believe_count_after_h)

    def count(question: CountQuestion) -> SeriesCount | None:
        with importing:
            from dicom_node.peers.count_instances import count_series

        peer = peers.get(question.calling_ae)
        if peer is None:
            return None
        found = count_series(
            peer,
            settings.node.ae_title,
            question.key.study_uid,
            question.key.series_uid,
        )
        if found is None:
            return None
        began_at = found.began_at
        age = None if began_at is None else datetime.now(UTC) - began_at
        return SeriesCount(
            instances=found.instances,
            is_final=age is not None and age >= believe_after,
        )

    return CountConfirmer(count)

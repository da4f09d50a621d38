"""Asking the peers that answer C-FIND how many instances a series has."""

from __future__ import annotations

import threading

from dicom_node.series.assembler import CountQuestion
from dicom_node.series.count_confirmation import CountConfirmer
from dicom_node.settings.sections import Settings


def count_confirmer(
    settings: Settings, *, imports: threading.Lock
) -> CountConfirmer | None:
    """Return who asks, or None if no peer is to be asked.

    Parameters
    ----------
    imports
        As for `Intake`.
    """
    peers = {
        peer.ae_title: peer
        for peer in settings.peers.values()
        if peer.answers_c_find and peer.may_send
    }
    if not peers or not settings.series.confirm_by_c_find:
        return None

    def count(question: CountQuestion) -> int | None:
        with imports:
            from dicom_node.peers.count_instances import series_instances

        peer = peers.get(question.calling_ae)
        if peer is None:
            return None
        return series_instances(
            peer,
            settings.node.ae_title,
            question.key.study_uid,
            question.key.series_uid,
        )

    return CountConfirmer(count)

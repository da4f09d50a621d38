"""The process that asks peers how many instances a series has.

It speaks DIMSE, so that the supervisor, on which all processes hang, need not.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection, wait

from dicom_node import log
from dicom_node.peers.count_instances import count_series
from dicom_node.series.arriving_series import SeriesCount
from dicom_node.series.assembler import CountQuestion
from dicom_node.series.count_confirmation import CountConfirmer
from dicom_node.settings.audit_plan import auditor_for
from dicom_node.settings.sections import Settings

_LOOK_S = 0.05
"""How long an answer may lie before it is passed on."""


def answer_questions(pipe: Connection, settings_json: str) -> None:
    """Answer the questions that come by a pipe, until any other word comes."""
    settings = Settings.model_validate_json(settings_json)
    log.configure(level=settings.log.level, uids=settings.log.uids)
    confirmer = CountConfirmer(_counting(settings))
    is_asked = False
    while True:
        # While nothing is asked, nothing can be answered.
        if wait([pipe], timeout=_LOOK_S if is_asked else None):
            word = pipe.recv()
            if not isinstance(word, CountQuestion):
                break
            confirmer.ask(word)
            is_asked = True
        for answer in confirmer.answers():
            pipe.send(answer)
            is_asked = confirmer.is_asking
    # A thread that still waits for a peer would keep the process from ending.
    os._exit(0)


def _counting(settings: Settings) -> Callable[[CountQuestion], SeriesCount | None]:
    peers = {
        peer.ae_title: peer
        for peer in settings.peers.values()
        if peer.answers_c_find and peer.may_send
    }
    auditor = auditor_for(settings)
    believe_after = timedelta(hours=settings.series.believe_count_after_h)

    def count(question: CountQuestion) -> SeriesCount | None:
        peer = peers.get(question.calling_ae)
        if peer is None:
            return None
        found = count_series(
            peer,
            settings.node.ae_title,
            question.key.study_uid,
            question.key.series_uid,
            auditor,
        )
        if found is None:
            return None
        began_at = found.began_at
        age = None if began_at is None else datetime.now(UTC) - began_at
        return SeriesCount(
            instances=found.instances,
            is_final=age is not None and age >= believe_after,
        )

    return count

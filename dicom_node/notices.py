"""Notices of the node in the language of a result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from analysis.contract.result import Notice
from dicom_node.language import Language


def in_language(notices: Iterable[Notice], language: Language) -> tuple[Notice, ...]:
    """Return notices that the node made in English in a language.

    Those of an analysis are in the language of its result already.
    """
    return tuple(
        replace(one, text=language.told(one.code, one.text)) for one in notices
    )

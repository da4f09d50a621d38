"""All that is told of a series, in the words of the contract."""

from __future__ import annotations

import numpy as np

from analysis.contract.plugin import Writing
from analysis.contract.result import AnalysisResult, Page, Provenance
from analysis.contract.volume import Volume
from analysis.lumbar.correct.outlined_spine import OutlinedSpine
from analysis.lumbar.judge.judgement import Judgement
from analysis.lumbar.tell.in_language import in_language
from analysis.lumbar.tell.pages.first_page import draw_first_page
from analysis.lumbar.tell.pages.page_content import Sheet
from analysis.lumbar.tell.pages.second_page import NORMS_TITLE, draw_second_page
from analysis.lumbar.tell.report_text import report_text
from analysis.lumbar.tell.summary import summarise
from analysis.lumbar.tell.to_contract import (
    certainties,
    details,
    findings,
    origin,
    other_readings,
    segmentation,
)
from analysis.lumbar.tell.words import words_of


def tell(
    volume: Volume,
    spine: OutlinedSpine,
    judgement: Judgement,
    provenance: Provenance,
    writing: Writing,
) -> AnalysisResult:
    """Return the result of a series, but for what a correction will need.

    Parameters
    ----------
    volume
        The series.
    spine
        Its structures.
    judgement
        What is to be told of them.
    provenance
        What made it.
    writing
        In which language it is told, and how large its pages are.
    """
    words = words_of(writing.language)
    measured, assessment = judgement.measured, judgement.assessment
    levels = spine.anatomy.levels
    labelled = segmentation(spine.labels)
    numbers = {segment.number for segment in labelled.segments}
    told = findings(measured, assessment, numbers)
    sheet = Sheet(
        volume=volume,
        anatomy=spine.anatomy,
        rows=measured,
        assessment=assessment,
        warnings=judgement.warnings,
        provenance=provenance,
        words=words,
        scale=writing.page_scale,
    )
    result = AnalysisResult(
        segmentation=labelled,
        findings=told,
        pages=draw_pages(sheet),
        provenance=provenance,
        warnings=judgement.warnings,
        details={
            **details(measured, assessment, words),
            **other_readings(levels, words),
            **certainties(levels, judgement.confidence),
            "outlines": origin(spine),
        },
        summary=summarise(told, judgement.warnings, spine.editor),
        report_text=report_text(measured, assessment, judgement.warnings),
        language=words.language,
    )
    return in_language(result, words)


def draw_pages(sheet: Sheet) -> tuple[Page, ...]:
    """Draw the page that is read first, and that of more values and norms."""
    return (
        Page(title="Overlay", pixels=np.asarray(draw_first_page(sheet))),
        Page(title=NORMS_TITLE, pixels=np.asarray(draw_second_page(sheet))),
    )

"""What a result tells of a comparison: in words, numbers and a page."""

from __future__ import annotations

from dataclasses import replace

from analysis.contract.measurement import Change
from analysis.contract.result import AnalysisResult, Json
from analysis.lumbar.tell.compare_examinations import Comparison, LevelChange
from analysis.lumbar.tell.in_language import change_in_language
from analysis.lumbar.tell.pages.change_table import with_change
from analysis.lumbar.tell.summary import summarise_change
from analysis.lumbar.tell.words import Words, words_of

_DECIMALS = 4


def followed_up(result: AnalysisResult, comparison: Comparison) -> AnalysisResult:
    """Return a result that tells of a comparison in words, numbers and a page."""
    words = words_of(result.language)
    levels = {level.disc.concept.value: level for level in comparison.levels}
    findings = tuple(
        replace(finding, changes=_told(levels[finding.site.value], words))
        if finding.site.value in levels
        else finding
        for finding in result.findings
    )
    sentences = summarise_change(comparison)
    *others, last = result.pages
    return replace(
        result,
        findings=findings,
        pages=(*others, with_change(last, comparison, words)),
        warnings=(*result.warnings, *map(words.notice, comparison.warnings)),
        details={**result.details, "follow_up": _details(comparison, words)},
        summary={
            language: (*said, *sentences.get(language, ()))
            for language, said in result.summary.items()
        },
        report_text={
            language: words_of(language)
            .report("sentences")
            .join((text, *sentences.get(language, ())))
            for language, text in result.report_text.items()
        },
    )


def _told(level: LevelChange, words: Words) -> tuple[Change, ...]:
    return tuple(change_in_language(change, words) for change in level.told)


def _details(comparison: Comparison, words: Words) -> dict[str, Json]:
    return {
        "days": comparison.days,
        "levels": [_level_details(level, words) for level in comparison.levels],
        "warnings": [
            {"code": notice.code, "text": notice.text}
            for notice in map(words.notice, comparison.warnings)
        ],
    }


def _level_details(level: LevelChange, words: Words) -> dict[str, Json]:
    changes: dict[str, Json] = {
        key: {
            "earlier": round(change.earlier, _DECIMALS),
            "now": round(change.now, _DECIMALS),
            "change": round(change.difference, _DECIMALS),
            "detectable_change": round(change.detectable, _DECIMALS),
            "verdict": change.verdict.meaning.lower(),
        }
        for key, change in level.changes.items()
    }
    earlier, now = level.grades
    return {
        "level": level.level,
        "changes": changes,
        "pfirrmann_grade": {"earlier": earlier, "now": now},
        "not_compared": {key: words.word(why) for key, why in level.missing.items()},
    }

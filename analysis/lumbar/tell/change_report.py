"""What a result tells of a comparison: in words, numbers and a page."""

from __future__ import annotations

from dataclasses import replace

from analysis.contract.result import AnalysisResult, Json
from analysis.lumbar.tell.compare_examinations import Comparison, LevelChange
from analysis.lumbar.tell.pages.change_table import with_change
from analysis.lumbar.tell.summary import summarise_change

_DECIMALS = 4


def followed_up(result: AnalysisResult, comparison: Comparison) -> AnalysisResult:
    """Return a result that tells of a comparison in words, numbers and a page."""
    levels = {level.disc.concept.value: level for level in comparison.levels}
    findings = tuple(
        replace(finding, changes=levels[finding.site.value].told)
        if finding.site.value in levels
        else finding
        for finding in result.findings
    )
    sentences = summarise_change(comparison)
    *others, last = result.pages
    return replace(
        result,
        findings=findings,
        pages=(*others, with_change(last, comparison)),
        warnings=(*result.warnings, *comparison.warnings),
        details={**result.details, "follow_up": _details(comparison)},
        summary={
            language: (*said, *sentences.get(language, ()))
            for language, said in result.summary.items()
        },
    )


def _details(comparison: Comparison) -> dict[str, Json]:
    return {
        "days": comparison.days,
        "levels": [_level_details(level) for level in comparison.levels],
        "warnings": [
            {"code": notice.code, "text": notice.text} for notice in comparison.warnings
        ],
    }


def _level_details(level: LevelChange) -> dict[str, Json]:
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
        "not_compared": dict(level.missing),
    }

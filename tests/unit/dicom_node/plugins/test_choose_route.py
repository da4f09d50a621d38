"""Which route takes a series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest

from analysis.contract.plugin import Plane, SeriesSummary, Weighting
from dicom_node.errors import AnalysisUnavailableError
from dicom_node.plugins.choose_route import choose
from dicom_node.plugins.registry import GROUP, Registry
from dicom_node.settings.sections import Accept, Route
from tests.support.phantom_plugin import NAME

T2 = SeriesSummary(
    modality="MR",
    body_part="LSPINE",
    plane=Plane.SAGITTAL,
    weighting=Weighting.T2,
    slice_count=15,
    rows=512,
    columns=512,
)


def registry(**targets: str) -> Registry:
    points = {
        name.replace("_", "-"): EntryPoint(name=name, value=value, group=GROUP)
        for name, value in targets.items()
    }
    return Registry(points)


PLUGINS = "tests.support.phantom_plugin"
PHANTOM = registry(phantom_mri=f"{PLUGINS}:PhantomMri")


def routes(*body_parts: Sequence[str]) -> list[Route]:
    return [
        Route(
            name=f"route-{number}",
            accept=Accept(body_part=list(parts)),
            analysis=NAME,
            deliver_to=["pacs"],
        )
        for number, parts in enumerate(body_parts, start=1)
    ]


def test_the_first_route_that_takes_a_series_has_it() -> None:
    choice = choose(T2, routes(["KNEE"], ["LSPINE"], []), PHANTOM)
    assert (choice.route, choice.analysis) == ("route-2", NAME)
    assert (choice.analysis_version, choice.rejection) == ("1", None)


@pytest.mark.parametrize("weighting", [Weighting.T2_FAT_SUPPRESSED, Weighting.UNKNOWN])
def test_what_may_be_t2_is_left_to_the_analysis(weighting: Weighting) -> None:
    series = replace(T2, weighting=weighting)
    assert choose(series, routes([]), PHANTOM).route == "route-1"


def test_a_series_without_a_body_part_passes_every_filter() -> None:
    assert choose(replace(T2, body_part=""), routes(["KNEE"]), PHANTOM).route


@pytest.mark.parametrize(
    ("summary", "code", "text"),
    [
        (replace(T2, modality="CT"), "not_mr", "modality CT, not MR"),
        (
            replace(T2, plane=Plane.AXIAL),
            "not_sagittal",
            "slices are axial, not sagittal",
        ),
        (replace(T2, weighting=Weighting.T1), "not_t2", "weighting is T1, not T2"),
        (
            replace(T2, body_part="knee"),
            "wrong_body_part",
            "body part KNEE, not LSPINE",
        ),
        (  # whatever else somebody has typed there is nobody's business
            replace(T2, body_part="Knee of Müller^Anna, born 1950" * 1000),
            "wrong_body_part",
            "body part KNEE OF M?LLER?ANNA? BORN 1950KN, not LSPINE",
        ),
    ],
)
def test_what_no_route_takes_is_rejected_with_the_reason(
    summary: SeriesSummary, code: str, text: str
) -> None:
    choice = choose(summary, routes(["LSPINE"]), PHANTOM)
    assert (choice.route, choice.rejection) == ("", (code, text))


def test_several_routes_each_tell_their_reason() -> None:
    choice = choose(T2, routes(["KNEE"], ["HIP"]), PHANTOM)
    assert choice.rejection == (
        "no_route",
        "route-1: body part LSPINE, not KNEE; route-2: body part LSPINE, not HIP",
    )


def test_a_route_whose_analysis_is_broken_keeps_its_series() -> None:
    broken = registry(phantom_mri="tests.support.nothing:Nothing")
    choice = choose(T2, routes([]), broken)
    assert (choice.route, choice.analysis_version) == ("route-1", "unavailable")


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("tests.support.nothing:Nothing", "ModuleNotFoundError"),
        (f"{PLUGINS}:Nothing", "AttributeError"),
        (f"{PLUGINS}:OfAnotherTime", "built for contract 99, this node has "),
        (f"{PLUGINS}:Broken", "RuntimeError: no weights"),
    ],
)
def test_an_analysis_that_cannot_be_used_says_why(target: str, why: str) -> None:
    with pytest.raises(AnalysisUnavailableError, match=why):
        registry(toy=target).get("toy")


def test_an_analysis_that_is_not_installed_says_so() -> None:
    with pytest.raises(AnalysisUnavailableError, match="knee-mri: not installed"):
        PHANTOM.get("knee-mri")

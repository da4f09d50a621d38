"""The lumbar analysis: its steps in order, and nothing else."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from analysis.contract.acquisition import Acquisition
from analysis.contract.errors import AnalysisFailed, OutOfResources, UnsuitableInput
from analysis.contract.follow_up import Prior
from analysis.contract.outlines import Outlines
from analysis.contract.plugin import (
    CONTRACT_VERSION,
    Context,
    Fit,
    Role,
    SeriesSummary,
)
from analysis.contract.result import AnalysisResult, Provenance
from analysis.contract.volume import Volume
from analysis.lumbar.anatomy import STRUCTURES
from analysis.lumbar.networks import Networks, load_networks, shipped_weights
from analysis.lumbar.suitability import choose

ROLE = "t2_sagittal"
_PACKAGE_VERSION = "0.1.0"
_RESULTS_REVISION = 7
"""Raised with every change of this package that may change a number."""
_WEIGHTS_DIGITS = 8
_IMPORTED_AT_FIRST_USE = (
    "PIL.ImageDraw",
    "PIL.ImageFont",
    "scipy.ndimage",
    "scipy.spatial",
    "analysis.lumbar.assessment",
    "analysis.lumbar.confidence",
    "analysis.lumbar.contrast",
    "analysis.lumbar.measure.rows",
    "analysis.lumbar.pages",
    "analysis.lumbar.quality",
    "analysis.lumbar.report",
    "analysis.lumbar.summary",
    "analysis.lumbar.trace",
)
"""An idle process does without; `prepare`, called while the series is still arriving,
imports them, so that nobody waits for it."""


def _load(threads: int, device: str) -> Networks:
    return load_networks(threads=threads, device=device)


class LumbarMri:
    """Measures the lumbar discs on one sagittal T2 series.

    Parameters
    ----------
    load
        Loads the networks for a number of threads and a device; by default those of
        this package.
    """

    name = "lumbar-mri"
    contract_version = CONTRACT_VERSION
    inputs: tuple[Role, ...] = (ROLE,)

    def __init__(self, load: Callable[[int, str], Networks] = _load) -> None:
        self._load = load
        self._networks: Networks | None = None

    @property
    def version(self) -> str:
        """Package, revision of the results, and the first digits of the weights."""
        own = f"{_PACKAGE_VERSION}+r{_RESULTS_REVISION}"
        try:
            loaded = self._networks
            weights = loaded.weights_sha256 if loaded else shipped_weights()
        except AnalysisFailed:  # `prepare` reports it; a version has to be had before
            return own
        return f"{own}.{weights[:_WEIGHTS_DIGITS]}"

    def accepts(self, summary: SeriesSummary) -> Fit:
        """Take sagittal T2, in need T1 or STIR; refuse all else with its reason."""
        return choose(summary)

    def prepare(self, *, threads: int, device: str) -> str:
        """Load and verify the networks; say why one is not on the device asked for.

        Raises
        ------
        AnalysisFailed
            If one is missing, damaged or not the network that this code was written
            for.
        """
        if self._networks is not None:
            return self._networks.missed
        for module in _IMPORTED_AT_FIRST_USE:
            importlib.import_module(module)
        self._networks = self._load(threads, device)
        return self._networks.missed

    def analyse(
        self, inputs: Mapping[Role, Volume], context: Context
    ) -> AnalysisResult:
        """Measure one series.

        Raises
        ------
        UnsuitableInput
            If the series breaks a limit or shows no lumbar spine.
        OutOfResources
            If memory gave out.
        AnalysisFailed
            If the networks cannot be loaded.
        """
        return self._analyse(inputs[ROLE], context, None)

    @property
    def segment_labels(self) -> tuple[str, ...]:
        """Names of the structures that it measures from outlines."""
        return tuple(structure.label for structure in STRUCTURES)

    def measure(
        self, inputs: Mapping[Role, Volume], context: Context, outlines: Outlines
    ) -> AnalysisResult:
        """Measure one series from outlines that a reader has corrected.

        The networks are loaded, for they name the version, and do not run.

        Raises
        ------
        UnsuitableInput
            If the series breaks a limit, or the outlines are of no use: see
            `trace.take`.
        OutOfResources
            If memory gave out.
        AnalysisFailed
            If the networks cannot be loaded.
        """
        return self._analyse(inputs[ROLE], context, outlines)

    def _analyse(
        self, volume: Volume, context: Context, outlines: Outlines | None
    ) -> AnalysisResult:
        self.prepare(threads=context.threads, device=context.device)
        try:
            return self._measured(volume, context, outlines)
        except MemoryError as error:
            shape = "x".join(str(n) for n in volume.voxels.shape)
            message = f"memory gave out on a series of {shape} voxels"
            raise OutOfResources(message) from error

    def follow_up(
        self, result: AnalysisResult, acquisition: Acquisition, prior: Prior
    ) -> AnalysisResult:
        """Add to a result what has changed since an earlier examination."""
        from analysis.lumbar.follow_up import compare, followed_up

        return followed_up(result, compare(result, acquisition, prior))

    def _measured(
        self, volume: Volume, context: Context, outlines: Outlines | None
    ) -> AnalysisResult:
        # scipy and Pillow come with these; an idle process does without.
        from analysis.lumbar import report
        from analysis.lumbar.assessment import assess
        from analysis.lumbar.confidence import outline_confidence, uncertain_outlines
        from analysis.lumbar.contrast import signal_unfit, weighting_notices
        from analysis.lumbar.measure.refuse import cut_bodies, refuse, uncertain_heights
        from analysis.lumbar.measure.rows import measure_rows
        from analysis.lumbar.norms.place import norm_notices
        from analysis.lumbar.pages import Sheet, draw_pages
        from analysis.lumbar.quality import judge
        from analysis.lumbar.seams import doubt_seam
        from analysis.lumbar.stripes import stripe_warnings, striped_discs
        from analysis.lumbar.suitability import examine
        from analysis.lumbar.summary import summarise
        from analysis.lumbar.trace import find, take, without_uncertainty

        networks = self._networks
        if networks is None:
            message = "the networks are not loaded"
            raise AnalysisFailed(message)
        summary, threads = context.summaries.get(ROLE), context.threads
        sagittal = examine(volume)
        trace = (
            find(sagittal, networks, threads=threads)
            if outlines is None
            else take(volume, outlines)
        )
        labels = trace.labels
        anatomy = (
            trace.anatomy
            if trace.is_given
            else doubt_seam(trace.anatomy, volume, labels)
        )
        doubts = weighting_notices(summary, volume, labels)
        unfit = signal_unfit(doubts)
        rows = without_uncertainty(
            measure_rows(anatomy, volume, labels, unfit), trace.edited
        )
        striped = striped_discs(anatomy, volume)
        rows = refuse(
            rows,
            cut_bodies(anatomy.levels)
            | uncertain_heights(rows)
            | {n: why for n, why in striped.items() if n not in trace.edited},
        )
        if all(row.outline is None for row in rows.discs):
            text = "None of the discs L1/L2 to L5/S1 was found"
            raise UnsuitableInput(code="no_lumbar_spine", text=text)
        assessment = assess(
            anatomy, volume, rows, context.subject, unfit, threads=threads
        )
        confidence = outline_confidence(
            anatomy.tissues, anatomy.levels.names, trace.edited
        )
        warnings = (
            *report.edited_warnings(trace),
            *sagittal.warnings,
            *doubts,
            *anatomy.levels.warnings,
            *judge(anatomy, volume, labels, rows),
            *stripe_warnings(striped),
            *uncertain_outlines(confidence),
            *report.level_warnings(rows),
            *norm_notices(assessment.person),
        )
        provenance = Provenance(
            name=self.name,
            version=self.version,
            weights_sha256=networks.weights_sha256,
        )
        sheet = Sheet(
            volume=volume,
            anatomy=anatomy,
            rows=rows,
            assessment=assessment,
            warnings=warnings,
            provenance=provenance,
        )
        findings = report.findings(rows, assessment, report.numbers_in(labels))
        with ThreadPoolExecutor(1) as aside:  # packing lets other threads run
            kept = aside.submit(trace.kept, volume)
            pages = draw_pages(sheet)
        return AnalysisResult(
            segmentation=report.segmentation(labels),
            findings=findings,
            pages=pages,
            provenance=provenance,
            warnings=warnings,
            details={
                **report.details(rows, assessment),
                **report.other_readings(anatomy.levels),
                **report.certainties(anatomy.levels, confidence),
                "outlines": report.origin(trace),
            },
            summary=summarise(findings, warnings, trace.editor),
            kept=kept.result(),
        )

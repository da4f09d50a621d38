"""The lumbar analysis: check, find, name, measure, judge, tell, and nothing else."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from analysis.contract.acquisition import Acquisition
from analysis.contract.errors import AnalysisFailed, OutOfResources
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
from analysis.inference.cpu_runtime import cpu_runtime
from analysis.lumbar.anatomy.structures import STRUCTURES
from analysis.lumbar.check.series import SagittalVolume, choose, examine
from analysis.lumbar.find.networks import Networks, load_networks, shipped_weights

if TYPE_CHECKING:
    from analysis.lumbar.correct.outlined_spine import OutlinedSpine

ROLE = "t2_sagittal"
_PACKAGE_VERSION = "0.1.0"
_RESULTS_REVISION = 21
"""Raised with every change of this package that may change a number."""
_WEIGHTS_DIGITS = 8
_IMPORTED_AT_FIRST_USE = (
    "PIL.ImageDraw",
    "PIL.ImageFont",
    "scipy.ndimage",
    "analysis.lumbar.correct.reader_outlines",
    "analysis.lumbar.judge.judgement",
    "analysis.lumbar.measure.measurements",
    "analysis.lumbar.tell.result",
)
"""An idle process does without; `prepare`, called while the series is still arriving,
imports them, so that nobody waits for it."""


def _load(threads: int, device: str) -> Networks:
    networks = load_networks(threads=threads, device=device)
    if not device.startswith("cuda") or networks.missed:
        return networks
    from analysis.lumbar.find.chain_agreement import with_chain

    return with_chain(networks)


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
        """Package, revision of the results, first digits of the weights, runtime.

        The runtime is that of the CPU, whether or not the networks are loaded: a
        series that comes again is measured again where this has changed. A result
        names what has computed it.
        """
        return self._version_with(cpu_runtime())

    @property
    def runtime(self) -> str:
        """What computes, as of now; before the networks are loaded, on the CPU."""
        return self._networks.runtime if self._networks else cpu_runtime()

    def _version_with(self, runtime: str) -> str:
        own = f"{_PACKAGE_VERSION}+r{_RESULTS_REVISION}"
        try:
            loaded = self._networks
            weights = loaded.weights_sha256 if loaded else shipped_weights()
        except AnalysisFailed:  # `prepare` reports it; a version has to be had before
            return own
        return f"{own}.{weights[:_WEIGHTS_DIGITS]}.{runtime}"

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
            `reader_outlines.take`.
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
        from analysis.lumbar.tell.change_report import followed_up
        from analysis.lumbar.tell.compare_examinations import compare

        return followed_up(result, compare(result, acquisition, prior))

    def _loaded(self) -> Networks:
        if self._networks is None:
            message = "the networks are not loaded"
            raise AnalysisFailed(message)
        return self._networks

    def _measured(
        self, volume: Volume, context: Context, outlines: Outlines | None
    ) -> AnalysisResult:
        # scipy and Pillow come with these; an idle process does without.
        from analysis.lumbar.judge.judgement import Evidence, judge
        from analysis.lumbar.judge.resolve import refusals
        from analysis.lumbar.measure.measurements import measure_spine
        from analysis.lumbar.tell.result import tell

        networks, threads = self._loaded(), context.threads
        with refusals():
            sagittal = examine(volume)
            spine = _outlined(sagittal, networks, outlines, threads)
        with ThreadPoolExecutor(1) as aside:  # packing lets other threads run
            kept = aside.submit(spine.kept, volume)
            measured = measure_spine(spine.anatomy, volume, spine.labels)
        evidence = Evidence(
            volume=volume,
            summary=context.summaries.get(ROLE),
            acquisition=context.acquisitions.get(ROLE),
            subject=context.subject,
            spine=spine,
            doubts=sagittal.doubts,
        )
        judgement = judge(evidence, measured, threads=threads)
        provenance = Provenance(
            name=self.name,
            version=self._version_with(networks.runtime),
            weights_sha256=networks.weights_sha256,
        )
        told = tell(volume, spine, judgement, provenance, context.writing)
        return replace(told, kept=kept.result())


def _outlined(
    sagittal: SagittalVolume,
    networks: Networks,
    outlines: Outlines | None,
    threads: int,
) -> OutlinedSpine:
    """Return the structures that the networks find, or those that a reader drew."""
    from analysis.lumbar.correct.outlined_spine import find
    from analysis.lumbar.correct.reader_outlines import take

    if outlines is None:
        return find(sagittal, networks, threads=threads)
    return take(sagittal.volume, outlines)

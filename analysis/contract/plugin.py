"""What the node asks of an analysis, and what it tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, runtime_checkable

from analysis.contract.acquisition import Acquisition
from analysis.contract.outlines import Outlines
from analysis.contract.result import AnalysisResult
from analysis.contract.volume import Volume

CONTRACT_VERSION = 2
"""Raised when a change here would break an analysis that was built before."""

Role = str
"""The part that a series plays for an analysis, such as `t2_sagittal`."""


class Plane(Enum):
    """Orientation of a series' slices."""

    SAGITTAL = "sagittal"
    CORONAL = "coronal"
    AXIAL = "axial"
    OBLIQUE = "oblique"
    MIXED = "mixed"
    UNKNOWN = "unknown"


class Weighting(Enum):
    """Contrast of an MR series, as far as its attributes tell."""

    T1 = "T1"
    T2 = "T2"
    T2_FAT_SUPPRESSED = "T2-fat-suppressed"
    STIR = "STIR"
    PD = "PD"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSummary:
    """What an analysis may know of a series before it is decoded.

    Parameters
    ----------
    spacing_mm
        Between slices, rows and columns; None where it is not stated.
    contrast_agent
        Whether the attributes name a contrast agent.
    """

    modality: str
    body_part: str
    plane: Plane
    weighting: Weighting
    slice_count: int
    rows: int
    columns: int
    spacing_mm: tuple[float, float, float] | None = None
    localiser: bool = False
    derived: bool = False
    contrast_agent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Whether an analysis takes a series.

    Parameters
    ----------
    accepted
        Whether it does.
    code
        Stable word in `snake_case`: why not, or why only in need of a better one; empty
        where accepted without reserve.
    text
        The same in one sentence for people.
    preference
        Among accepted series of one study the highest is analysed first. Below 0: of
        use only where a study has nothing better.
    """

    accepted: bool
    code: str = ""
    text: str = ""
    preference: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a measurement may depend on beside the picture; never an identity."""

    age_years: float | None = None
    sex: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """How what people read is written.

    Parameters
    ----------
    language
        RFC 5646; English where an analysis does not have it.
    page_scale
        Pixels of a page for each of one of the usual size, which is 1024 high or wide.
    """

    language: str = "en"
    page_scale: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the node tells an analysis beside the volumes.

    Parameters
    ----------
    acquisitions
        How each series was acquired, as far as it states it.
    threads, device
        As for `Analysis.prepare`, should it not have been called before.
    writing
        Language and size of what people read.
    """

    subject: Subject
    summaries: Mapping[Role, SeriesSummary]
    acquisitions: Mapping[Role, Acquisition] = field(default_factory=dict)
    threads: int = 2
    device: str = "cpu"
    writing: Writing = Writing()


class Analysis(Protocol):
    """One anatomy. Found by the entry point group `dicom_node.analyses`."""

    @property
    def name(self) -> str:
        """Its entry point name, such as `lumbar-mri`."""

    @property
    def version(self) -> str:
        """Changes whenever the same input may give another result."""

    @property
    def contract_version(self) -> int:
        """The `CONTRACT_VERSION` that it was built for."""

    @property
    def inputs(self) -> tuple[Role, ...]:
        """The roles that it needs; today exactly one."""

    def accepts(self, summary: SeriesSummary) -> Fit:
        """Say from the attributes alone whether the series is for us."""

    def prepare(self, *, threads: int, device: str) -> str:
        """Load and verify what `analyse` needs; may be called again at no cost.

        Parameters
        ----------
        threads
            CPU threads that it may use.
        device
            `cuda` or `cuda:N` asks for a GPU; anything else is the CPU.

        Returns
        -------
        str
            Why it does not compute on the GPU asked for, as of now; else empty. A
            missing GPU is no error: an analysis computes on the CPU then.

        Raises
        ------
        AnalysisFailed
            If weights are missing or differ from their checksum.
        """

    def analyse(
        self, inputs: Mapping[Role, Volume], context: Context
    ) -> AnalysisResult:
        """Run from volumes to result.

        Raises
        ------
        UnsuitableInput
            If the picture cannot bear the analysis.
        OutOfResources
            If memory gave out.
        AnalysisFailed
            If the analysis itself is at fault.
        """


@runtime_checkable
class TellsRuntime(Analysis, Protocol):
    """An analysis that says what computes it.

    An analysis need not be one. What it says belongs to the version in the provenance
    of its results, for another runtime or precision may give other numbers.
    """

    @property
    def runtime(self) -> str:
        """The library, its version and the precision, as of now."""


@runtime_checkable
class Corrigible(Analysis, Protocol):
    """An analysis that measures from outlines which a reader has corrected.

    An analysis need not be one; its results then stay as they are.
    """

    @property
    def segment_labels(self) -> tuple[str, ...]:
        """The names of structures (SegmentLabel) that it can measure from."""

    def measure(
        self, inputs: Mapping[Role, Volume], context: Context, outlines: Outlines
    ) -> AnalysisResult:
        """Measure from given outlines instead of finding them.

        Raises
        ------
        UnsuitableInput
            If the outlines cannot bear the analysis, or are those that were measured
            before (`outlines_unchanged`).
        OutOfResources
            If memory gave out.
        AnalysisFailed
            If the analysis itself is at fault.
        """

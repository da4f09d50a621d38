"""One series from files to a result: decode, analyse; no loops back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.contract.plugin import Analysis, Context, Writing
from analysis.contract.result import AnalysisResult
from dicom_node.decode.read_file import DEFAULT_LIMITS, ReadLimits
from dicom_node.decode.suitable_series import summarise
from dicom_node.decode.volume import DecodedSeries, read_volume
from dicom_node.encode.source_attributes import doubts_about

if TYPE_CHECKING:
    from dicom_node.encode.result_context import EditedOutlines, Reference


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Analysed:
    """A series and what was found in it.

    Parameters
    ----------
    compared_with
        The earlier examination with which the result was compared, if it was.
    edited
        The outlines of a reader, if the result was measured from them.
    """

    decoded: DecodedSeries
    result: AnalysisResult
    compared_with: Reference | None = None
    edited: EditedOutlines | None = None

    @property
    def corrected_uid(self) -> str | None:
        """SOP Instance UID of the SEG that was measured from, if one was."""
        return None if self.edited is None else self.edited.sop_instance_uid


DEFAULT_WRITING = Writing()


def analyse_series(
    paths: Sequence[Path],
    analysis: Analysis,
    *,
    threads: int,
    device: str = "cpu",
    limits: ReadLimits = DEFAULT_LIMITS,
    writing: Writing = DEFAULT_WRITING,
) -> Analysed:
    """Decode one series and run an analysis on it.

    Parameters
    ----------
    limits
        How much one file may hold.
    writing
        How the analysis writes what people read.

    Raises
    ------
    SeriesRejectedError
        If the instances do not form one uniform volume.
    UnsuitableInput
        If the picture cannot bear the analysis.
    AnalysisError
        If the analysis or the machine is at fault.
    """
    decoded = read_volume(paths, limits=limits)
    doubts = doubts_about(decoded.sources[0])
    decoded = replace(decoded, warnings=(*decoded.warnings, *doubts))
    (role,) = analysis.inputs
    context = Context(
        subject=decoded.subject,
        summaries={role: summarise(decoded.headers)},
        acquisitions={role: decoded.acquisition},
        threads=threads,
        device=device,
        writing=writing,
    )
    result = analysis.analyse({role: decoded.volume}, context)
    return Analysed(decoded=decoded, result=result)

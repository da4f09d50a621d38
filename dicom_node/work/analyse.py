"""One series from files to DICOM objects: decode, analyse, encode; no loops back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.contract.plugin import Analysis, Context
from analysis.contract.result import AnalysisResult
from dicom_node.corrections.read_seg import DecodedOutlines
from dicom_node.decode.headers import read_headers
from dicom_node.decode.read_file import DEFAULT_LIMITS, ReadLimits
from dicom_node.decode.suitable_series import summarise
from dicom_node.decode.volume import DecodedSeries, read_volume
from dicom_node.encode.source_attributes import doubts_about

if TYPE_CHECKING:
    from dicom_node.encode.result_context import (
        EditedOutlines,
        EncodeRequest,
        Reference,
    )
    from dicom_node.encode.result_objects import EncodedObject


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Analysed:
    """A series and what was found in it.

    Parameters
    ----------
    compared_with
        The earlier examination with which the result was compared, if it was.
    outlines
        Those that a reader has corrected, if the result was measured from them.
    correction
        Which one of this series, counted from 1; 0 for none.
    """

    decoded: DecodedSeries
    result: AnalysisResult
    compared_with: Reference | None = None
    outlines: DecodedOutlines | None = None
    correction: int = 0

    @property
    def corrected_uid(self) -> str | None:
        """SOP Instance UID of the SEG that was measured from, if one was."""
        return None if self.outlines is None else self.outlines.sop_instance_uid


def analyse_series(
    paths: Sequence[Path],
    analysis: Analysis,
    *,
    threads: int,
    device: str = "cpu",
    limits: ReadLimits = DEFAULT_LIMITS,
) -> Analysed:
    """Decode one series and run an analysis on it.

    Parameters
    ----------
    limits
        How much one file may hold.

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
        summaries={role: summarise(read_headers(paths, limits=limits))},
        acquisitions={role: decoded.acquisition},
        threads=threads,
        device=device,
    )
    result = analysis.analyse({role: decoded.volume}, context)
    return Analysed(decoded=decoded, result=result)


def encode_series(
    analysed: Analysed, request: EncodeRequest
) -> tuple[EncodedObject, ...]:
    """Turn a result into DICOM objects, in the order in which they are delivered.

    Raises
    ------
    EncodingError
        If an object breaks its IOD.
    """
    from dicom_node.encode.result_objects import encode_result

    request = replace(
        request, compared_with=analysed.compared_with, edited=_edited(analysed)
    )
    return encode_result(analysed.result, analysed.decoded, request)


def _edited(analysed: Analysed) -> EditedOutlines | None:
    from dicom_node.encode.result_context import EditedOutlines

    drawn = analysed.outlines
    if drawn is None:
        return None
    return EditedOutlines(
        sop_class_uid=drawn.sop_class_uid,
        sop_instance_uid=drawn.sop_instance_uid,
        series_uid=drawn.series_uid,
        editor=drawn.editor,
        number=analysed.correction,
        segments=drawn.segments,
        tracking=drawn.tracking,
    )

"""How a series was acquired, as its attributes tell."""

from __future__ import annotations

from pydicom.dataset import Dataset

from analysis.contract.acquisition import Acquisition
from dicom_node.decode import attribute_values
from dicom_node.decode.headers import echo_time_of, frame_groups

_ECHO_PULSES = {"SPIN": ("SE",), "GRADIENT": ("GR",), "BOTH": ("GR", "SE")}
"""What Enhanced MR calls in (0018,9008) what MR calls in (0018,0020)."""


_MAX_TESLA = 30.0
_GAUSS_A_TESLA = 10_000.0
"""No patient lies in a field above the first: some senders write gauss."""


def acquisition_of(dataset: Dataset) -> Acquisition:
    """Return scanner, field strength and sequence of an MR instance.

    References
    ----------
    PS3.3 C.8.3.1 MR Image, C.8.13.4 MR Pulse Sequence.
    """
    frame = frame_groups(dataset)[0]
    timing = attribute_values.item(frame, "MRTimingAndRelatedParametersSequence")
    pulses = attribute_values.text(dataset, "EchoPulseSequence").upper()
    return Acquisition(
        manufacturer=attribute_values.text(dataset, "Manufacturer"),
        model=attribute_values.text(dataset, "ManufacturerModelName"),
        field_strength_t=_field_strength_t(dataset),
        sequence=tuple(sorted(attribute_values.words(dataset, "ScanningSequence")))
        or _ECHO_PULSES.get(pulses, ()),
        dimensions=attribute_values.text(dataset, "MRAcquisitionType").upper(),
        repetition_time_ms=attribute_values.number(timing, "RepetitionTime")
        or attribute_values.number(dataset, "RepetitionTime"),
        echo_time_ms=echo_time_of(frame, dataset),
    )


def _field_strength_t(dataset: Dataset) -> float | None:
    stated = attribute_values.number(dataset, "MagneticFieldStrength")
    if stated is None or stated <= 0:
        return None
    return stated if stated <= _MAX_TESLA else stated / _GAUSS_A_TESLA

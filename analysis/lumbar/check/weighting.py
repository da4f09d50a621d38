"""What the weighting of a series allows, by its attributes and by the look of it.

Cerebrospinal fluid is what T1 and T2 disagree on most: dark on the one, the brightest
thing in the spine on the other. Bone marrow is its neighbour, so that coil shading
cancels in their ratio.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contract.plugin import SeriesSummary, Weighting
from analysis.contract.volume import Volume
from analysis.imaging.one_of import is_one_of
from analysis.imaging.window import window_of
from analysis.lumbar.anatomy.structures import CANAL, VERTEBRAE
from analysis.lumbar.doubt import GEOMETRY_ONLY, SERIES, Doubt, Effect, unfit_signal
from analysis.lumbar.fitted_limits import FLUID_RATIO

MIN_FLUID_RATIO = FLUID_RATIO.limit
"""Fluid to marrow; gradient echo is not told from T2 by it, which is why no signal is
measured where the weighting is unknown."""
_FLUID_PERCENTILE = 80.0
"""Of the canal: above the nerve roots in it."""
_MIN_VOXELS = 200


def fluid_ratio(volume: Volume, labels: NDArray[np.uint8]) -> float | None:
    """Return the signal of fluid over that of marrow; None: too little is in view.

    Parameters
    ----------
    volume, labels
        As for `weighting_doubts`.
    """
    look = _look(volume, labels)
    return None if look is None else look.fluid / look.marrow


def weighting_doubts(
    summary: SeriesSummary | None, volume: Volume, labels: NDArray[np.uint8]
) -> tuple[Doubt, ...]:
    """Say why the signal of a series cannot be used; nothing where it can.

    Where nothing tells the weighting, the series is refused: `not_t2` if fluid is too
    dark; `weighting_unknown` if there is too little of the spine to tell.

    Parameters
    ----------
    summary
        Its attributes; None where they are not known.
    volume
        The series.
    labels : ndarray, shape (K, R, C), uint8
        Numbers of the structures on the grid of `volume`.
    """
    weighting = Weighting.T2 if summary is None else summary.weighting
    doubts = (
        _by_attributes(weighting),
        _by_look(weighting, _look(volume, labels)),
        _by_contrast_agent(summary),
    )
    return tuple(doubt for doubt in doubts if doubt is not None)


def _refused(code: str, text: str) -> Doubt:
    return Doubt(scope=SERIES, effect=Effect.REFUSE, code=code, text=text)


def _by_attributes(weighting: Weighting) -> Doubt | None:
    texts = {
        Weighting.T1: ("not_t2", f"The series is T1-weighted. {GEOMETRY_ONLY}"),
        Weighting.STIR: (
            "not_t2",
            f"The series is STIR: fat gives no signal. {GEOMETRY_ONLY}",
        ),
        Weighting.T2_FAT_SUPPRESSED: (
            "fat_suppressed",
            "Fat is suppressed; geometry is measured, signal is not",
        ),
        Weighting.UNKNOWN: (
            "weighting_unknown",
            "Neither attributes nor description tell the weighting; fluid is bright as "
            f"on T2. {GEOMETRY_ONLY}",
        ),
    }
    if weighting not in texts:
        return None
    code, text = texts[weighting]
    return unfit_signal(code, text)


def _by_contrast_agent(summary: SeriesSummary | None) -> Doubt | None:
    if summary is None or not summary.contrast_agent:
        return None
    text = "The series names a contrast agent, which changes the signal"
    return unfit_signal("contrast_agent", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """Signal of fluid and of bone marrow."""

    fluid: float
    marrow: float

    @property
    def is_t2(self) -> bool:
        return self.fluid >= MIN_FLUID_RATIO * self.marrow

    def __str__(self) -> str:
        return (
            f"fluid in the canal has {self.fluid:.0f} where bone has "
            f"{self.marrow:.0f}; on T2 it has at least {MIN_FLUID_RATIO} times as much"
        )


def _look(volume: Volume, labels: NDArray[np.uint8]) -> _Look | None:
    """Return the signals; None where too little of the spine is in view to tell."""
    sides = window_of(labels.max(axis=0) > 0)
    if sides is None:
        return None
    voxels, shown = volume.voxels[:, *sides], labels[:, *sides]
    fluid = _inside(voxels, shown == CANAL.number)
    marrow = _inside(voxels, is_one_of(shown, [one.number for one in VERTEBRAE]))
    if min(fluid.size, marrow.size) < _MIN_VOXELS:
        return None
    return _Look(
        fluid=float(np.percentile(fluid, _FLUID_PERCENTILE)),
        marrow=float(np.median(marrow)),
    )


def _by_look(weighting: Weighting, look: _Look | None) -> Doubt | None:
    if weighting is Weighting.UNKNOWN:
        return _refused_unless_t2(look)
    labelled_t2 = weighting in {Weighting.T2, Weighting.T2_FAT_SUPPRESSED}
    if not labelled_t2 or look is None or look.is_t2:
        return None
    text = f"The series is called {weighting.value} and does not look it: {look}"
    return unfit_signal("not_t2", f"{text}. {GEOMETRY_ONLY}")


def _refused_unless_t2(look: _Look | None) -> Doubt | None:
    if look is None:
        text = "Neither the attributes nor the picture tell the weighting"
        return _refused("weighting_unknown", text)
    if not look.is_t2:
        text = f"The attributes do not tell the weighting, and {look}"
        return _refused("not_t2", text)
    return None


def _inside(
    voxels: NDArray[np.float32], mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the values of a mask without its edge in each slice."""
    tall = mask[:, :-2] & mask[:, 1:-1] & mask[:, 2:]
    inner = tall[:, :, :-2] & tall[:, :, 1:-1] & tall[:, :, 2:]
    values: NDArray[np.float32] = voxels[:, 1:-1, 1:-1][inner]
    return values

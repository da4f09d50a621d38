"""Which slices show the middle of a level, and the fields of its structures there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.imaging.dilation import grown_to_square
from analysis.imaging.level_lines import outlines
from analysis.imaging.window import widened, window_of
from analysis.lumbar.anatomy.field import OUTSIDE, Field
from analysis.lumbar.anatomy.named_levels import Levels
from analysis.lumbar.anatomy.picture_edge import near_unseen
from analysis.lumbar.anatomy.structures import CANAL, DISCS, VERTEBRAE, Structure
from analysis.lumbar.anatomy.tissue_map import GROUPS, TissueMap

HALF_WIDTH_MM = 6.0
"""Slices within this distance of the middle are measured: a single slice is noisy, and
rescans of 21 men needed 7 slices or more to meet the error of all (Belavy 2012). Of 1,
4, 5, 6, 7 and 8 mm the heights of 25 patients of train differ from drawn ones by 0.56,
0.54, 0.51, 0.51, 0.51 and 0.51 mm on average."""
_STEP_MM = 1.5
"""Of series with thinner slices every second, third ... is measured: neighbours that
close say the same."""
_REACH_MM = 15.0
"""Half a level: rows this far above and below a structure tell where its middle is."""
_MIN_CANAL_MM2 = 60.0
"""Canal in fewer pixels than this does not tell the middle; the bone does then."""
_EDGE_PX = 2
"""A structure within this distance of the edge may go on beyond it."""
_GROW_PX = 2
"""Pixels beside a structure in which its field is kept; its outline lies there."""

_BONE, _DISC, _ = GROUPS
_DISC_NUMBERS = frozenset(disc.number for disc in DISCS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anatomy:
    """A tissue map with its named structures.

    Middles, directions, fields and outlines are found once and kept: a body is asked
    for by itself, by both discs beside it, and by the page.
    """

    tissues: TissueMap
    levels: Levels
    _middles: dict[int, float | None] = field(
        init=False, repr=False, default_factory=dict
    )
    _slices: dict[int, tuple[int, ...]] = field(
        init=False, repr=False, default_factory=dict
    )
    _downs: dict[int, NDArray[np.float64]] = field(
        init=False, repr=False, default_factory=dict
    )
    _fields: dict[tuple[int, int], Field | None] = field(
        init=False, repr=False, default_factory=dict
    )
    _outlines: dict[tuple[int, int], Sequence[NDArray[np.float64]]] = field(
        init=False, repr=False, default_factory=dict
    )
    _near_unseen: list[NDArray[np.bool_]] = field(
        init=False, repr=False, default_factory=list
    )

    @property
    def pixel_mm(self) -> float:
        """Distance of rows and of columns on the sagittal grid."""
        return float(self.tissues.grid.frame.spacing_mm[1])

    @property
    def slice_mm(self) -> float:
        """Distance of slices."""
        return float(self.tissues.grid.frame.spacing_mm[0])

    def middle_slice(self, structure: Structure) -> float | None:
        """Return where between slices the middle of a structure lies.

        It is the middle of the canal beside the structure, and of the structure
        itself where there is no canal.
        """
        if structure.number not in self._middles:
            self._middles[structure.number] = self._middle_slice(structure)
        return self._middles[structure.number]

    def _middle_slice(self, structure: Structure) -> float | None:
        names, window = self.levels.names, self.levels.windows.get(structure.number)
        if window is None:
            return None
        weights = self.canal_beside(structure)
        if not self._tells(weights):
            weights[:] = 0
            mine = names[window] == structure.number
            weights[window[0]] = mine.sum(axis=(1, 2))
        return float(np.average(np.arange(len(names)), weights=weights))

    def shows_canal(self, structure: Structure) -> bool:
        """Say whether enough canal is seen beside a structure to tell its middle."""
        return structure.number in self.levels.windows and self._tells(
            self.canal_beside(structure)
        )

    def canal_beside(self, structure: Structure) -> NDArray[np.int64]:
        """Return how many pixels of canal each slice shows beside a structure."""
        names, window = self.levels.names, self.levels.windows[structure.number]
        mine = names[window] == structure.number
        rows = np.flatnonzero(mine.any(axis=(0, 2))) + window[1].start
        reach = round(_REACH_MM / self.pixel_mm)
        centre = int(np.median(rows))
        beside = slice(max(0, centre - reach), centre + reach + 1)
        weights = np.zeros(len(names), np.int64)
        canal = self.levels.windows.get(CANAL.number)
        if canal is not None:
            shown = names[canal[0], beside, canal[2]] == CANAL.number
            weights[canal[0]] = shown.sum(axis=(1, 2))
        return weights

    def _tells(self, weights: NDArray[np.int64]) -> bool:
        return bool(weights.sum() * self.pixel_mm**2 >= _MIN_CANAL_MM2)

    def middle_slices(self, structure: Structure) -> list[int]:
        """Return the slices near the middle that show a structure; nearest first."""
        if structure.number not in self._slices:
            self._slices[structure.number] = tuple(self._middle_slices(structure))
        return list(self._slices[structure.number])

    def measured_slices(self) -> dict[int, list[int]]:
        """Return `middle_slices` of each disc and body found, by its number."""
        return {
            one.number: self.middle_slices(one)
            for one in (*VERTEBRAE, *DISCS)
            if one.number in self.levels.windows
        }

    def _middle_slices(self, structure: Structure) -> list[int]:
        middle = self.middle_slice(structure)
        if middle is None:
            return []
        window = self.levels.windows[structure.number]
        shown = (self.levels.names[window] == structure.number).any(axis=(1, 2))
        slices = np.flatnonzero(shown) + window[0].start
        away_mm = np.abs(slices - middle) * self.slice_mm
        order = np.argsort(away_mm, kind="stable")
        nearest = int(slices[order[0]])
        every = max(1, round(_STEP_MM / self.slice_mm))
        near = [
            int(slices[i])
            for i in order
            if away_mm[i] <= HALF_WIDTH_MM and (slices[i] - nearest) % every == 0
        ]
        return near or [nearest]

    def field(self, structure: Structure, index: int) -> Field | None:
        """Return the field of a structure in one slice; None where it is not shown."""
        key = (structure.number, index)
        if key not in self._fields:
            self._fields[key] = self._field(structure, index)
        return self._fields[key]

    def _field(self, structure: Structure, index: int) -> Field | None:
        held = self.levels.windows.get(structure.number)
        if held is None:
            return None
        names, around = self.levels.names[index], held[1:]
        sides = window_of(names[around] == structure.number)
        if sides is None:
            return None
        window = widened((sides[0], sides[1]), around, _GROW_PX + 1, names.shape)
        mine = names[window] == structure.number
        group = _DISC if structure.number in _DISC_NUMBERS else _BONE
        if structure is CANAL:
            group = GROUPS[2]
        lead = self.tissues.margin(index, group, window)
        near = grown_to_square(mine, _GROW_PX)
        # A neighbour of the same tissue is not part of the structure.
        others = (names[window] != 0) & ~mine
        lead = np.where(near & ~(others & (lead > 0)), lead, OUTSIDE)
        return Field(
            values=lead.astype(np.float32),
            corner_px=np.array([side.start for side in window], np.float64),
            pixel_mm=self.pixel_mm,
        )

    def outline_px(
        self, structure: Structure, index: int
    ) -> NDArray[np.float64] | None:
        """Return the longest outline of a structure in one slice, as (row, column)."""
        lines = self.outlines_px(structure, index)
        return lines[0] if lines else None

    def outlines_px(
        self, structure: Structure, index: int
    ) -> Sequence[NDArray[np.float64]]:
        """Return all outlines of a structure in one slice, longest first."""
        key = (structure.number, index)
        if key not in self._outlines:
            shown = self.field(structure, index)
            self._outlines[key] = () if shown is None else _outlines_px(shown)
        return self._outlines[key]

    def down(self, structure: Structure) -> NDArray[np.float64]:
        """Return a first guess (row, column) of the direction across a structure."""
        if structure.number not in self._downs:
            self._downs[structure.number] = self._down(structure)
        return self._downs[structure.number]

    def _down(self, structure: Structure) -> NDArray[np.float64]:
        plane = self.levels.planes.get(structure.number)
        if plane is not None:
            return plane.down
        window = self.levels.windows[structure.number]
        mine = np.argwhere(self.levels.names[window] == structure.number)
        middle = mine.mean(axis=0) + [side.start for side in window]
        spacing = self.tissues.grid.frame.spacing_mm
        return self.levels.column.direction_at(middle * spacing)

    def is_between_found(self, structure: Structure) -> bool:
        """Say whether a named structure lies above this one."""
        family = DISCS if structure in DISCS else VERTEBRAE
        higher = family[family.index(structure) + 1 :]
        return any(other.number in self.levels.windows for other in higher)

    def cut_off_above(self, structure: Structure) -> bool:
        """Say whether the picture ends within the upper half of a structure."""
        window = self.levels.windows.get(structure.number)
        if window is None:
            return False
        return window[1].start < _EDGE_PX or self._meets_edge(structure, upper=True)

    def cut_off_below(self, structure: Structure) -> bool:
        """Say whether the picture ends within the lower half of a structure."""
        window = self.levels.windows.get(structure.number)
        if window is None:
            return False
        last = self.levels.names.shape[1] - _EDGE_PX
        return window[1].stop > last or self._meets_edge(structure, upper=False)

    def cut_off(self, structure: Structure) -> bool:
        """Say whether a structure goes on beyond the picture, on whichever side."""
        return self.cut_off_above(structure) or self.cut_off_below(structure)

    def near_unseen(self) -> NDArray[np.bool_]:
        """Return from where a structure goes on beyond what is seen, shape (R, C)."""
        if not self._near_unseen:
            self._near_unseen.append(near_unseen(self.tissues))
        return self._near_unseen[0]

    def _meets_edge(self, structure: Structure, *, upper: bool) -> bool:
        """Say whether half of a structure ends where nothing is seen any more.

        In the slices that are measured: what lies to the side matters to no value.
        """
        _, rows, columns = self.levels.windows[structure.number]
        near = self.near_unseen()[rows, columns]
        if not near.any():
            return False
        shown = self.levels.names[self.middle_slices(structure), rows, columns]
        mine = (shown == structure.number).any(axis=0) & near
        half = len(mine) // 2
        return bool((mine[: half + 1] if upper else mine[half:]).any())


def _outlines_px(field: Field) -> tuple[NDArray[np.float64], ...]:
    lines = outlines(field.values.astype(np.float64))
    return tuple(line + field.corner_px for line in lines)

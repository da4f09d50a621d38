"""What moves, and what is told, where machines alter a series: see `blind_spots`."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from analysis.contract.errors import UnsuitableInput
from analysis.contract.plugin import Context, Plane, SeriesSummary, Subject, Weighting
from analysis.contract.result import AnalysisResult
from analysis.contract.volume import Volume
from analysis.lumbar.doubt import Refused
from analysis.lumbar.find.networks import load_networks
from analysis.lumbar.judge.uneven_signal import signal_signs
from analysis.lumbar.measure.repeat_examinations import LENGTH_SHARE
from analysis.lumbar.plugin import ROLE, LumbarMri
from tests.accuracy import levels as other_hospitals
from tests.accuracy.faults import looked_at
from tests.accuracy.machine_faults import FAULTS, OF_SIGNAL
from tests.support import spider

GROUPS = {
    "delta-SI": ("delta_si",),
    "ratio to CSF": ("signal_ratio_csf", "nucleus_ratio_csf"),
    "grade": ("pfirrmann_grade",),
    "height of disc, mm": ("disc_height_mm",),
    "DHI, HDR": ("disc_height_index", "height_diameter_ratio"),
    "canal, mm": ("canal_ap_diameter_mm",),
    "slip, mm": ("slip_mm",),
    "height of body, mm": ("body_height_mm",),
    "angles, deg": ("wedge_angle_deg", "lordosis_l1_s1_deg", "sacral_slope_deg"),
}
_TYPICAL = {"slip_mm": 1.0, "lordosis_l1_s1_deg": 3.0, "sacral_slope_deg": 3.0}
"""Taken for the typical error where none is stated; of grades it is half of one, of
other lengths what two examinations of one person differ by."""
_GRADE = 0.25
Values = dict[tuple[str, str], tuple[float, float]]
"""Of a place and a key: the value and its typical error."""


def series(split: str) -> Iterator[tuple[str, Volume]]:
    """Yield every T2 series of several slices of a split."""
    for patient in spider.patients(split):
        yield f"spider_{patient}", spider.read_volume(patient)
    for name, folder in other_hospitals.series(split):
        yield name, other_hospitals.read(folder)[0]


def analysed(plugin: LumbarMri, volume: Volume) -> AnalysisResult:
    """Measure a series that states to be T2, of a woman of 50 years."""
    summary = SeriesSummary(
        modality="MR",
        body_part="LSPINE",
        plane=Plane.SAGITTAL,
        weighting=Weighting.T2,
        slice_count=len(volume.voxels),
        rows=volume.voxels.shape[1],
        columns=volume.voxels.shape[2],
        contrast_agent=False,
    )
    subject = Subject(age_years=50.0, sex="F")
    context = Context(subject=subject, summaries={ROLE: summary}, threads=2)
    return plugin.analyse({ROLE: volume}, context)


def values_of(result: AnalysisResult) -> Values:
    """Return the values of the groups that are told."""
    details: Any = result.details
    rows = [
        *((row["level"], row) for row in details["levels"]),
        *((row["vertebra"], row) for row in details["vertebrae"]),
        ("spine", details["spine"]),
    ]
    return {
        (place, key): (float(row[key]), _typical(key, row))
        for place, row in rows
        for keys in GROUPS.values()
        for key in keys
        if row.get(key) is not None
    }


def _typical(key: str, row: Mapping[str, Any]) -> float:
    if key == "pfirrmann_grade":
        return _GRADE
    stated = row["uncertainty"].get(key)
    if stated is not None:
        return float(stated)
    return _TYPICAL.get(key, LENGTH_SHARE / 2 * abs(float(row[key])))


def moved(before: Values, after: Values) -> dict[str, float]:
    """Return the largest move of each group, if more than twice the typical error."""
    found: dict[str, float] = {}
    for group, keys in GROUPS.items():
        moves = [
            after[place][0] - value
            for place, (value, error) in before.items()
            if place[1] in keys
            and place in after
            and abs(after[place][0] - value) > 2 * error
        ]
        if moves:
            found[group] = max(moves, key=abs)
    return found


@dataclasses.dataclass
class Outcome:
    """What became of one alteration in all series."""

    runs: int = 0
    refused: Counter[str] = dataclasses.field(default_factory=Counter)
    told: Counter[str] = dataclasses.field(default_factory=Counter)
    told_runs: int = 0
    silent: int = 0
    silent_moves: dict[str, float] = dataclasses.field(default_factory=dict)
    told_moves: dict[str, float] = dataclasses.field(default_factory=dict)

    def add(self, moves: Mapping[str, float], codes: set[str]) -> None:
        """Count a series that was measured."""
        self.told.update(codes)
        self.told_runs += bool(codes)
        self.silent += bool(moves) and not codes
        largest = self.told_moves if codes else self.silent_moves
        for group, move in moves.items():
            if abs(move) > abs(largest.get(group, 0.0)):
                largest[group] = move

    def row(self, name: str) -> str:
        """Return the row of the table."""
        codes = (*(f"refused: {code}" for code in self.refused), *sorted(self.told))
        refused = sum(self.refused.values())
        return (
            f"| {name} | {self.runs} | {refused} | {self.told_runs} | {self.silent} | "
            f"{_listed(self.silent_moves)} | {_listed(self.told_moves)} | "
            f"{', '.join(f'`{code}`' for code in codes)} |"
        )


def _listed(moves: Mapping[str, float]) -> str:
    return ", ".join(f"{group} {move:+.2f}" for group, move in moves.items())


def told_of_machines(split: str, names: Sequence[str]) -> None:
    """Alter the named series in every way, and write the table."""
    plugin = LumbarMri()
    outcomes: defaultdict[str, Outcome] = defaultdict(Outcome)
    for name, volume in series(split):
        if name not in names:
            continue
        sound = analysed(plugin, volume)
        before, labels = values_of(sound), sound.segmentation.labels
        known = {notice.code for notice in sound.warnings}
        for fault, alter in FAULTS.items():
            one = outcomes[fault]
            one.runs += 1
            try:
                result = analysed(plugin, alter(volume, labels))
            except UnsuitableInput as refused:
                one.refused[refused.code] += 1
                continue
            codes = {notice.code for notice in result.warnings} - known
            one.add(moved(before, values_of(result)), codes)
            sys.stderr.write(f"{name}, {fault}: {sorted(codes)}\n")
    sys.stdout.write(
        "| altered | series | refused | told | silent | moved most, silent | moved "
        "most, told | reasons and warnings |\n|---|---|---|---|---|---|---|---|\n"
    )
    for fault, one in outcomes.items():
        sys.stdout.write(f"{one.row(fault)}\n")


def signs_of_machines(split: str) -> None:
    """Write the range of each sign of uneven signal, as it is and altered."""
    networks = load_networks(threads=2)
    found: defaultdict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for name, volume in series(split):
        try:
            read = looked_at(name, volume, networks)
        except Refused as refused:
            sys.stdout.write(f"{name}: refused, {refused.code}\n")
            continue
        for what in ("as it is", *OF_SIGNAL):
            altered = volume
            if what in FAULTS:
                altered = FAULTS[what](volume, read.labels)
            signs = signal_signs(read.anatomy, altered, read.labels)
            found[what].append((name, dataclasses.asdict(signs)))
    for what, rows in found.items():
        for sign in rows[0][1]:
            known = sorted(
                (round(float(values[sign]), 3), name)
                for name, values in rows
                if values[sign] is not None
            )
            middle = float(np.median([value for value, _ in known]))
            sys.stdout.write(
                f"{what}: {sign}, n {len(known)}, median {middle:.3f}: "
                f"{json.dumps([*known[:3], *known[-3:]])}\n"
            )

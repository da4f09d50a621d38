"""Places the discs of SPIDER patients among the norms: do the norms fit them?

Run as `python -m tests.accuracy.norms [SPLIT]` (`train` if not given): the median z of
all discs and of those that are graded I or II, which should be near 0 in a scanner and
a sequence like those of the norms.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict

import numpy as np

from analysis.contract.acquisition import Acquisition
from analysis.contract.plugin import Context, Subject
from analysis.lumbar.plugin import ROLE, LumbarMri
from tests.support import spider

HEALTHY = (1, 2)


def subjects() -> dict[str, Subject]:
    """Return age and sex of each patient, as far as the manifest states them."""
    with (spider.SHARED / "manifest.csv").open() as file:
        return {
            row["case_id"].removeprefix("spider_"): Subject(
                age_years=float(row["age"]) if row["age"] else None,
                sex={"M": "M", "F": "F"}.get(row["sex"]),
            )
            for row in csv.DictReader(file)
            if row["folder"].startswith("spider_t2space")
        }


def z_scores(split: str) -> dict[tuple[str, bool], list[float]]:
    """Return the z-scores by parameter, and whether the disc is healthy."""
    plugin, people = LumbarMri(), subjects()
    found: dict[tuple[str, bool], list[float]] = defaultdict(list)
    for patient in spider.patients(split):
        volume = spider.read_volume(patient)
        # As if it were of the kind of the norms: whether it fits them is the question.
        kind = Acquisition(sequence=("SE",), dimensions="2D")
        context = Context(
            subject=people[patient], summaries={}, acquisitions={ROLE: kind}
        )
        for finding in plugin.analyse({ROLE: volume}, context).findings:
            grades = {grade.value.value for grade in finding.grades}
            healthy = bool(grades & {f"PFIRRMANN-{grade}" for grade in HEALTHY})
            for quantity in finding.measurements:
                if quantity.norm is not None:
                    name = quantity.concept.meaning
                    found[name, healthy].append(quantity.norm.z_score)
    return found


def main(split: str) -> None:
    """Print the medians."""
    found = z_scores(split)
    sys.stdout.write("| parameter | discs | n | median z |\n|---|---|---|---|\n")
    for name in sorted({name for name, _ in found}):
        groups = {
            "grade I, II": found[name, True],
            "all": found[name, True] + found[name, False],
        }
        for discs, scores in groups.items():
            middle = f"{np.median(scores):+.2f}" if scores else "-"
            sys.stdout.write(f"| {name} | {discs} | {len(scores)} | {middle} |\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "train")

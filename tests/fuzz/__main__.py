"""`python -m tests.fuzz --cases N --seed S`: whatever comes, the node goes on.

Sends mutated connections, association requests, PDUs, command sets and datasets to a
running node over real sockets, and a series in order now and then. Every process has to
live on, the memory of all together has to stay below a limit, and the results of every
good series have to arrive. A case is made of the seed and its number alone: a case that
failed is run again by `--seed S --first NUMBER --cases 1`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from tests.fuzz.run import Outcome, Plan, run

_MOST_MIB = 1536
_GOOD_EVERY = 1000
_MOST_SHOWN = 20


def main(arguments: Sequence[str]) -> int:
    """Run, write the table, and return 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--folder", type=Path, help="kept; left out, a temporary one")
    chosen = parser.parse_args(arguments)
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="lumbar-node-fuzz-"))
    with tqdm(total=chosen.cases, unit="case", mininterval=1) as bar:
        plan = Plan(
            seed=chosen.seed,
            numbers=range(chosen.first, chosen.first + chosen.cases),
            good_every=_GOOD_EVERY,
            progress=bar.update,
        )
        outcome = run(folder, plan)
    sys.stdout.write(table(outcome))
    for number, problem in sorted(outcome.wrong.items())[:_MOST_SHOWN]:
        again = f"--seed {chosen.seed} --first {number} --cases 1"
        sys.stdout.write(f"case {number}: {problem}; again: {again}\n")
    for problem in (*outcome.ended, *outcome.unserved)[:_MOST_SHOWN]:
        sys.stdout.write(f"{problem}\n")
    is_good = outcome.is_clean and outcome.peak_mib < _MOST_MIB
    if not is_good:
        sys.stdout.write(f"log and spool: {folder}\n")
    return 0 if is_good else 1


def table(outcome: Outcome) -> str:
    """Return what `docs/reliability.md` shows."""
    rows: list[tuple[str, str]] = [
        ("cases", f"{outcome.kinds.total()}"),
        *(
            (f"of them wrong {kind}", f"{n}")
            for kind, n in sorted(outcome.kinds.items())
        ),
        *(
            (f"answered: {reply}", f"{n}")
            for reply, n in sorted(outcome.replies.items())
        ),
        ("processes ended, threads failed", f"{len(outcome.ended)}"),
        ("answers that are none", f"{len(outcome.wrong)}"),
        ("good series sent", f"{outcome.good}"),
        ("of them not served", f"{len(outcome.unserved)}"),
        *(
            (f"latest jobs {state}", f"{n}")
            for state, n in sorted(outcome.jobs.items())
        ),
        ("most memory of all processes (MiB)", f"{outcome.peak_mib:.0f}"),
        (
            "longest fsync of a small file beside the spool (s)",
            f"{outcome.longest_fsync_s:.1f}",
        ),
        ("longest time to send a good series (s)", f"{outcome.longest_send_s:.1f}"),
        ("duration (s)", f"{outcome.duration_s:.0f}"),
    ]
    lines = ["| | |", "| --- | --- |", *(f"| {what} | {n} |" for what, n in rows)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

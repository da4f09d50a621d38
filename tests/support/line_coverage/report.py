"""Merge what the processes of the suite ran of our packages, and tell the share of it.

`python -m tests.support.line_coverage.report COUNTS SITE LEAST_PERCENT`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slipcover import Slipcover, merge_coverage, print_coverage

from tests.support.line_coverage.sitecustomize import OMITTED


def main(counts: str, site: str, least_percent: str) -> int:
    """Print every file that was not run whole; fail below the least share."""
    sources = [str(Path(site) / name) for name in ("dicom_node", "analysis")]
    # All files with no line run, among them those that no process has imported.
    merged = Slipcover(branch=True, source=sources, omit=[OMITTED]).get_coverage()
    for path in sorted(Path(counts).glob("*.json")):
        merge_coverage(merged, _run(json.loads(path.read_text()), merged))
    print_coverage(merged, skip_covered=True)
    share = merged["summary"]["percent_covered"]
    sys.stdout.write(f"lines and branches run: {share:.1f} %\n")
    if share < float(least_percent):
        sys.stdout.write(f"!!! less than {least_percent} %\n")
        return 2
    return 0


def _run(seen: list[list[Any]], merged: dict[str, Any]) -> dict[str, Any]:
    """Return what one process ran, of what counts, as SlipCover would."""
    files: dict[str, dict[str, list[Any]]] = {}
    for path, *lines in seen:
        known = merged["files"].get(path)
        if known is None:
            continue
        run = files.setdefault(path, {"executed_lines": [], "executed_branches": []})
        for kind in ("lines", "branches"):
            every = {*map(_key, known[f"executed_{kind}"] + known[f"missing_{kind}"])}
            run[f"executed_{kind}"] += [at for at in lines if _key(at) in every]
    return {"meta": merged["meta"], "files": files}


def _key(at: int | Sequence[int]) -> int | tuple[int, ...]:
    return at if isinstance(at, int) else tuple(at)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

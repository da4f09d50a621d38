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

Seen = dict[str, set[int | tuple[int, ...]]]
"""Lines, and branches from one line to another, by the path of their file."""


def main(counts: str, site: str, least_percent: str) -> int:
    """Print every file that was not run whole; fail below the least share."""
    sources = [str(Path(site) / name) for name in ("dicom_node", "analysis")]
    # All files with no line run, among them those that no process has imported.
    merged = Slipcover(branch=True, source=sources, omit=[OMITTED]).get_coverage()
    # Together first: each merge looks at every file of the packages anew.
    seen: Seen = {}
    for told in sorted(Path(counts).glob("*.json")):
        for path, *lines in json.loads(told.read_text()):
            seen.setdefault(path, set()).update(map(_key, lines))
    merge_coverage(merged, _run(seen, merged))
    print_coverage(merged, skip_covered=True)
    share = merged["summary"]["percent_covered"]
    sys.stdout.write(f"lines and branches run: {share:.1f} %\n")
    if share < float(least_percent):
        sys.stdout.write(f"!!! less than {least_percent} %\n")
        return 2
    return 0


def _run(seen: Seen, merged: dict[str, Any]) -> dict[str, Any]:
    """Return what was run, of what counts, as SlipCover would."""
    files: dict[str, dict[str, list[Any]]] = {}
    for path, run in seen.items():
        known = merged["files"].get(path)
        if known is None:
            continue
        files[path] = {
            f"executed_{kind}": [
                at
                for at in known[f"executed_{kind}"] + known[f"missing_{kind}"]
                if _key(at) in run
            ]
            for kind in ("lines", "branches")
        }
    return {"meta": merged["meta"], "files": files}


def _key(at: int | Sequence[int]) -> int | tuple[int, ...]:
    return at if isinstance(at, int) else tuple(at)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

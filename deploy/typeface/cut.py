"""Cut Noto Sans CJK SC to what pages and patients' names need: `make typeface`.

The source is Debian's package `fonts-noto-cjk`. What is kept: ASCII and Latin-1, the
Greek and Cyrillic letters, both levels of hanzi and the punctuation of GB 2312-80, and
whatever else the files of the languages use.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_SOURCE = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
_SC = 2
"""Place of the face for Simplified Chinese in the collection."""
_LANGUAGES = (
    "analysis/lumbar/tell/languages/*.json",
    "dicom_node/languages/*.json",
)
_ROWS = (*range(1, 4), 6, 7, *range(16, 88))
"""Of GB 2312: punctuation, numbers, full width, Greek, Cyrillic, hanzi; no kana."""
_CELLS, _OFFSET = range(1, 95), 0xA0
_ADDED = "\ufffd\u2260\u2264\u2265\u2248\u2013\u2014\u2212\u2022\u2191\u2193"


_NAMES = (
    "\u4dae\u52bc\u52cd\u53d2\u5586\u5803\u5809\u5961\u596d\u5998\u59a7\u59c8"
    "\u59ee\u5ac4\u5b56\u5bd8\u5ce3\u5d1a\u5dd8\u5f22\u5f63\u5f67\u5fb3\u60c7"
    "\u6114\u615c\u6246\u65fb\u6607\u6609\u662a\u662b\u6633\u6659\u665b\u665e"
    "\u6662\u6667\u666b\u668e\u6690\u6698\u66c8\u66cc\u67f7\u6810\u6829\u68a3"
    "\u68ea\u6959\u6983\u6a66\u6c84\u6c9a\u6d22\u6d38\u6d5b\u6d61\u6d65\u6db4"
    "\u6dcf\u6def\u6e49\u6e51\u6e5c\u6e72\u6e81\u6ea6\u6eea\u6f94\u6fdb\u6fec"
    "\u7098\u70dc\u70fa\u711c\u71a4\u71ba\u71ca\u71cf\u71da\u7214\u7241\u7287"
    "\u7393\u7395\u7397\u7398\u7399\u739a\u73a0\u73a5\u73a6\u73b6\u73b9\u73c5"
    "\u73cc\u73e3\u73ea\u73fa\u73fd\u7400\u7407\u740e\u7424\u742f\u7440\u7444"
    "\u7445\u7446\u7451\u7462\u7468\u7471\u7478\u747a\u7486\u7488\u749f\u74a0"
    "\u74a5\u74aa\u74ae\u74b2\u74bf\u74c5\u756f\u769d\u769e\u774e\u7881\u794e"
    "\u7950\u7994\u799b\u79a4\u79dd\u79fe\u7ad1\u7c03\u7e22\u7f91\u7fb4\u7fc0"
    "\u7fc3\u7fda\u7fdb\u7fef\u8283\u82e7\u8380\u8399\u83c2\u84a8\u87a3\u8886"
    "\u8a1a\u8a22\u8a60\u8b5e\u8bb1\u8d5f\u90c3\u91d7\u92c6\u9452\u9496\u951c"
    "\u9533\u9555\u95ff\u967d\u9683\u96ba\u96f1\u9719\u97e1\u9814\u9820\u9852"
    "\u9857\u9865\u988b\u9899\u98cf\u9a69\u9a89\u9f91"
)
"""Hanzi of names that GB 2312 lacks, such as the last of Zhu Rongji's."""


def characters() -> set[int]:
    """Return the code points that are kept."""
    kept = {*range(0x20, 0x7F), *range(0xA0, 0x250), *map(ord, _ADDED + _NAMES)}
    kept |= set(_of_gb2312())
    for pattern in _LANGUAGES:
        for path in Path().glob(pattern):
            kept |= {ord(one) for one in path.read_text("utf-8")}
    return kept


def _of_gb2312() -> Iterator[int]:
    for row in _ROWS:
        for cell in _CELLS:
            try:
                yield ord(bytes((row + _OFFSET, cell + _OFFSET)).decode("gb2312"))
            except UnicodeDecodeError:
                continue  # the standard leaves some cells empty


def main() -> None:
    """Write the face and print how large it is."""
    source, target = Path(sys.argv[1] if sys.argv[2:] else _SOURCE), Path(sys.argv[-1])
    points = ",".join(f"U+{point:04X}" for point in sorted(characters()))
    subprocess.run(
        [
            *(sys.executable, "-m", "fontTools.subset", str(source)),
            *(f"--font-number={_SC}", f"--unicodes={points}"),
            *(f"--output-file={target}", "--notdef-outline", "--no-hinting"),
            *("--layout-features=", "--name-IDs=0,1,2,3,4,5,6,13,14"),
            *("--drop-tables+=BASE,VORG,vhea,vmtx,DSIG", "--no-recalc-timestamp"),
        ],
        check=True,
    )
    size = re.sub(r"(?<=\d)(?=(\d{3})+$)", " ", str(target.stat().st_size))
    print(f"    {target}: {size} bytes")


if __name__ == "__main__":
    main()

"""Leave out of an environment what the node never loads: `slim.py ENVIRONMENT`.

A third of what the libraries bring is their own tests, parts for other hardware,
symbols for debuggers and copies of one file under three names; and pip has done its
work by then.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NEVER_LOADED = (
    "**/tests",
    "pynetdicom/benchmarks",
    "pip",
    "pip-*.dist-info",
    "setuptools",
    "setuptools-*.dist-info",
    "_distutils_hack",
    "distutils-precedence.pth",
    "pkg_resources",
    # The networks are read from ONNX and run on the CPU.
    "openvino/libs/libopenvino_intel_[gn]pu_plugin.so",
    "openvino/libs/cache.json",
    "openvino/libs/libopenvino_gguf_frontend.so*",
    "openvino/libs/libopenvino_jax_frontend.so*",
    "openvino/libs/libopenvino_paddle_frontend.so*",
    "openvino/libs/libopenvino_pytorch_frontend.so*",
    "openvino/libs/libopenvino_tensorflow*_frontend.so*",
    "openvino/frontend/jax",
    "openvino/frontend/paddle",
    "openvino/frontend/pytorch",
    "openvino/frontend/tensorflow",
    "openvino/include",
    "openvino/cmake",
)
"""Relative to the folder of the packages."""

OF_CUDA = {"torch", "torch.libs", "nvidia", "triton"}
"""What the extra `gpu` brings: gigabytes, stripped by their makers."""

WORTH_WHILE_BYTES = 1_000_000


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    if not path.is_dir():
        return path.lstat().st_size
    files = {
        stat.st_ino: stat.st_size
        for file in path.rglob("*")
        if not file.is_dir() and (stat := file.lstat())
    }
    return sum(files.values())


def remove(packages: Path, pattern: str) -> int:
    """Remove what a pattern names, and return how many bytes it had."""
    found = sorted(packages.glob(pattern))
    taken = sum(size(path) for path in found)
    for path in found:
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():  # not in a folder that went before
            path.unlink()
    return taken


def strip(packages: Path) -> None:
    """Remove symbols; not those in `*.libs`, whose layout bears no second change."""
    extensions = [
        path
        for path in shared_objects(packages)
        if not path.relative_to(packages).parts[0].endswith(".libs")
    ]
    subprocess.run(["strip", "--strip-unneeded", *extensions], check=True)


def shared_objects(packages: Path) -> Iterator[Path]:
    """Yield libraries and extensions, but those of CUDA."""
    for path in packages.rglob("*.so*"):
        if path.is_file() and path.relative_to(packages).parts[0] not in OF_CUDA:
            yield path


def libraries(packages: Path) -> Iterator[list[Path]]:
    """Yield libraries of the same content, which wheels hold under many names."""
    alike: dict[bytes, list[Path]] = {}
    for path in sorted(shared_objects(packages)):
        if not path.is_symlink():
            alike.setdefault(path.read_bytes(), []).append(path)
    yield from (paths for paths in alike.values() if len(paths) > 1)


def link(packages: Path) -> None:
    """Let libraries of the same content be one file."""
    for first, *others in libraries(packages):
        for path in others:
            path.unlink()
            os.link(first, path)


def compact(packages: Path) -> None:
    """Write large JSON without the blanks that were for people."""
    for path in packages.rglob("*.json"):
        if path.stat().st_size > WORTH_WHILE_BYTES:
            text = json.dumps(json.loads(path.read_text()), separators=(",", ":"))
            path.write_text(text)


def main(environment: Path) -> None:
    """Do all of it, and print what each step took."""
    (packages,) = environment.glob("lib/python3.*/site-packages")
    for pattern in NEVER_LOADED:
        print(f"{remove(packages, pattern) / 1e6:7.1f} MB  {pattern}")
    for program in environment.glob("bin/pip*"):
        program.unlink()
    for step in (strip, link, compact):
        before = size(packages)
        step(packages)
        print(f"{(before - size(packages)) / 1e6:7.1f} MB  {step.__name__}")
    print(f"{size(packages) / 1e6:7.1f} MB  are left")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

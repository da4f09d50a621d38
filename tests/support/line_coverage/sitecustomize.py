"""Counts the lines that a process runs of our packages, if it is asked to.

Python imports this at the start of each process that has its folder on the path, also
of those that a node starts. SlipCover replaces each line that has been counted often
enough by itself, so that what is counted costs little; a tracer slows down every call,
also those of libraries. Nothing begins before a module of ours is imported: most
processes of the suite are tools that never do, and SlipCover takes them 0.1 s.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing is imported by no process that needs it not
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from pathlib import Path
    from types import CodeType, ModuleType

    from slipcover.importer import SlipcoverLoader

COUNTS = "LUMBAR_LINE_COUNTS"
"""The folder into which each process writes what it ran, at its end."""
PACKAGES = "LUMBAR_LINES_OF"
"""The folder in which the packages lie; copies elsewhere are not counted."""
OMITTED = "*/analysis/training/*"


class FirstOfOurs:
    """Begins to count when the first module of our packages is looked for."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Find what SlipCover's own finder, from now on the first one, finds."""
        if name.partition(".")[0] not in {"dicom_node", "analysis"}:
            return None
        sys.meta_path.remove(self)
        count_lines(os.environ[COUNTS], os.environ[PACKAGES])
        return sys.meta_path[0].find_spec(name, path, target)


def with_branches(source: Path, kept: Path) -> CodeType:
    """Compile a module as SlipCover does for branches, once for all processes.

    Parameters
    ----------
    kept
        The folder of what was compiled.
    """
    import ast
    import marshal

    from slipcover.branch import preinstrument

    state = source.stat()
    name = f"{source.parent.name}.{source.stem}-{state.st_ino}-{state.st_mtime_ns}"
    compiled = kept / name
    if compiled.exists():
        code: CodeType = marshal.loads(compiled.read_bytes())
        return code
    tree = preinstrument(ast.parse(source.read_bytes()))
    code = compile(tree, str(source), "exec")
    kept.mkdir(parents=True, exist_ok=True)
    begun = kept / f"{name}.{os.getpid()}"
    begun.write_bytes(marshal.dumps(code))
    begun.replace(compiled)  # another process may read it at any time
    return code


def count_lines(folder: str, site: str) -> None:
    """Count from now on, and write the counts when this process ends."""
    import atexit
    import json
    import signal
    import threading
    import time
    from pathlib import Path

    from slipcover import FileMatcher, ImportManager, Slipcover, importer

    def run(loader: SlipcoverLoader, module: ModuleType) -> None:
        counter.register_module(module)
        code = with_branches(loader.origin, Path(folder) / "compiled")
        exec(counter.instrument(code), module.__dict__)

    counter = Slipcover(branch=True)
    importer.SlipcoverLoader.exec_module = run
    ours = FileMatcher(
        sources=[Path(site) / "dicom_node", Path(site) / "analysis"], omit=[OMITTED]
    )
    ImportManager(counter, ours).__enter__()
    told = Path(folder) / f"{os.getpid()}-{time.time_ns()}.json"  # ids come again
    end_at_once = os._exit

    def write() -> None:
        # What it has seen and no more: some processes have half a second to end.
        with counter.lock:
            seen = [counter.all_seen, counter._get_newly_seen()]
        lines = [[path, *found] for part in seen for path, found in part.items()]
        told.write_text(json.dumps(lines))

    def write_and_end(status: int) -> None:
        write()
        end_at_once(status)

    def write_and_obey(received: int, _frame: object) -> None:
        write()
        signal.signal(received, signal.SIG_DFL)
        os.kill(os.getpid(), received)

    # Until the process says itself what the signal means.
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, write_and_obey)
    atexit.register(write)
    os._exit = write_and_end  # type: ignore[assignment]


if COUNTS in os.environ:
    sys.meta_path.insert(0, FirstOfOurs())

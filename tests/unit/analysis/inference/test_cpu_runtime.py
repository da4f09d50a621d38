"""What runs the networks on a processor is known early, and talks to nobody."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from analysis.contract.errors import AnalysisFailed
from analysis.inference import cpu_runner
from analysis.inference.cpu_runtime import FULL, HALF, cpu_precision, cpu_runtime
from analysis.inference.engine import load_segmenter
from tests.support.block_spine import block_spine

WITH_AMX = "processor\t: 0\nflags\t\t: fpu avx512_bf16 amx_bf16 amx_tile\nbugs\t: mds\n"
WITHOUT = "processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\nbugs\t\t: amx_bf16\n"
LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")


@pytest.fixture
def unlimited(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in LIMITS:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize(
    ("text", "precision"), [(WITH_AMX, HALF), (WITHOUT, FULL), ("", FULL)]
)
def test_a_processor_with_amx_computes_in_bf16(
    tmp_path: Path, text: str, precision: str
) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text(text)
    assert cpu_precision(told) == precision


@pytest.mark.usefixtures("unlimited")
def test_an_unknown_processor_computes_in_full_precision(tmp_path: Path) -> None:
    assert cpu_precision(tmp_path / "none") == FULL


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize(
    ("limit", "precision"),
    [("AVX2", FULL), ("avx512_core_bf16", FULL), ("AVX512_CORE_AMX", HALF)],
)
def test_what_onednn_may_not_use_is_not_counted_on(
    tmp_path: Path,
    unlimited: pytest.MonkeyPatch,
    name: str,
    limit: str,
    precision: str,
) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text(WITH_AMX)
    unlimited.setenv(name, limit)
    assert cpu_precision(told) == precision


def test_the_runtime_is_known_before_it_is_loaded() -> None:
    assert load_segmenter().runtime == cpu_runtime()
    assert cpu_runtime(HALF).startswith("openvino2")
    assert cpu_runtime(HALF).endswith(".bf16")


def run_alone(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return done.stdout.strip()


def test_a_precision_that_the_processor_lacks_gives_way_to_the_full_one() -> None:
    code = (
        "from analysis.inference import cpu_runner\n"
        "from analysis.inference.engine import load_segmenter\n"
        "cpu_runner.cpu_precision = lambda: 'bf16'\n"
        "print(load_segmenter().runtime)"
    )
    said = run_alone(code, ONEDNN_MAX_CPU_ISA="AVX2", DNNL_MAX_CPU_ISA="AVX2")
    assert said == cpu_runtime(FULL)


def test_it_needs_no_torch_and_reaches_for_no_network() -> None:
    assert find_spec("openvino_telemetry"), "would not be seen"
    code = (
        "import sys\n"
        "reached = []\n"
        "sys.addaudithook(lambda name, _: name.startswith('socket.')"
        " and reached.append(name))\n"
        "from analysis.inference.engine import load_segmenter\n"
        "load_segmenter(device='auto')\n"
        "loaded = ['torch', 'openvino', 'openvino_telemetry']\n"
        "print([name for name in loaded if name in sys.modules], reached)"
    )
    assert run_alone(code) == "['openvino'] []"


def test_a_library_that_cannot_be_imported_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cpu_runner, "_core", cpu_runner._core.__wrapped__)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(AnalysisFailed, match="OpenVINO cannot be imported: "):
        load_segmenter()


def test_a_network_that_it_does_not_take_is_said() -> None:
    with pytest.raises(AnalysisFailed, match="OpenVINO cannot load the network: "):
        cpu_runner.cpu_runner(b"no graph", b"", threads=1)


@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_threads_runs(threads: int) -> None:
    segmenter = load_segmenter(threads=threads)
    assert np.isfinite(segmenter.probabilities(block_spine(64, 64, count=2))).all()

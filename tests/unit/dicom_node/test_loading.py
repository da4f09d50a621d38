"""While libraries are loaded, nothing looks for garbage; then all is as before."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from dicom_node.loading import loading


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    assert gc.isenabled()
    yield
    gc.unfreeze()
    gc.enable()


def test_nothing_looks_for_garbage_and_what_was_loaded_is_left_alone() -> None:
    before = gc.get_freeze_count()
    with loading():
        assert not gc.isenabled()
        kept: list[list[int]] = [[] for _ in range(5_000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(kept)


def test_garbage_is_looked_for_again_after_a_failure() -> None:
    with pytest.raises(ImportError), loading():
        raise ImportError
    assert gc.isenabled()


def test_who_looks_for_none_is_left_so() -> None:
    gc.disable()
    with loading():
        pass
    assert not gc.isenabled()

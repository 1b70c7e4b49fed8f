"""Large things are built without looking for garbage meanwhile."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from workflow_state.collector import uncollected


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    """It runs before and after each test."""
    gc.enable()
    yield
    gc.enable()


@uncollected
def asked(fails: bool = False) -> bool:
    """Whether it runs meanwhile."""
    if fails:
        raise ValueError("built nothing")
    return gc.isenabled()


@uncollected
def outer() -> tuple[bool, bool]:
    """What is built from something that is built."""
    return asked(), gc.isenabled()


def test_nothing_is_collected_meanwhile() -> None:
    """While the function runs, and those that it calls, there is no collector; after it there is."""
    assert not asked()
    assert outer() == (False, False)
    assert gc.isenabled()


def test_it_goes_on_after_a_failure() -> None:
    """What cannot be built leaves the collector as it was."""
    with pytest.raises(ValueError, match="built nothing"):
        asked(fails=True)
    assert gc.isenabled()


def test_who_runs_without_it_goes_on_without_it() -> None:
    """A program that turned the collector off does not find it on."""
    gc.disable()
    assert not asked()
    assert not gc.isenabled()

"""The contract of the state manager: every method, called once, with an unknown id, where it is not legal, and by
eight callers at the same moment. ``table.py`` says what must follow.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.manager.situations import Scene, nowhere, put_away
from tests.manager.table import METHODS
from tests.workers import Site
from workflow_state import ExecutionNotFoundError, StateManager

CALLERS = 8


@pytest.fixture
def scenes() -> Iterator[list[Scene]]:
    """Whatever a test puts here is ended after it."""
    made: list[Scene] = []
    yield made
    for scene in made:
        put_away(scene)


def test_the_table_is_whole() -> None:
    """A method that is added without its rows is found here."""
    assert {name for name in vars(StateManager) if not name.startswith("_")} == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_one_call(own: Site, scenes: list[Scene], name: str) -> None:
    """Where a call is legal, it does what it says and gives what it says."""
    method = METHODS[name]
    scenes.append(scene := method.where(own))
    method.check(scene, method.call(scene, 0))


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.unknown])
def test_an_unknown_execution(own: Site, name: str) -> None:
    """An id that nobody has used is an error that names it, and nothing is stored under it."""
    scene = nowhere(own)
    with pytest.raises(ExecutionNotFoundError, match=scene.id):
        METHODS[name].call(scene, 0)
    assert not [key for key in own.all_keys() if scene.id in key]


@pytest.mark.parametrize("name", METHODS)
def test_where_it_is_not_legal(own: Site, scenes: list[Scene], name: str) -> None:
    """The call is refused, with an error that says why or an answer that says so, and nothing has changed."""
    illegal = METHODS[name].illegal
    scenes.append(scene := illegal.where(own))
    before = scene.state()
    if illegal.error is None:
        assert illegal.call(scene, 0) == illegal.answer
    else:
        with pytest.raises(illegal.error, match=illegal.match):
            illegal.call(scene, 0)
    assert scene.state() == before


@pytest.mark.parametrize("name", METHODS)
def test_eight_callers(own: Site, scenes: list[Scene], name: str) -> None:
    """Eight callers at the same moment: one wins where only one can, and where all can, all agree."""
    method = METHODS[name]
    scenes.append(scene := method.where(own))
    together = threading.Barrier(CALLERS)

    def call(number: int) -> Any:
        together.wait(10)
        try:
            return method.call(scene, number)
        except Exception as error:  # noqa: BLE001 - what a caller was told is what is looked at
            return error

    with ThreadPoolExecutor(CALLERS) as pool:
        answers = list(pool.map(call, range(CALLERS)))
    method.all_together(scene, answers)

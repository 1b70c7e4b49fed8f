"""What the state manager is given of a wrong type is refused where it is given, and nothing is changed by it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from typing import Any, get_type_hints

import pytest

from tests.manager.situations import PLAN
from tests.manager.table import METHODS
from tests.workers import Site
from workflow_state import ActionNotFoundError, StateManager

#: Of a type that no parameter takes, and one that hardly any does.
WRONG: list[Any] = [object(), b"x", math.nan]
#: What takes any value, or tells what is wrong with it in its own way.
OPEN = {"plan", "result"}


def _cases() -> Iterator[tuple[str, str]]:
    for method in ("__init__", *METHODS):
        for name in inspect.signature(getattr(StateManager, method)).parameters:
            if name != "self" and name not in OPEN:
                yield method, name


@pytest.mark.parametrize(("method", "name"), [*_cases()])
def test_every_parameter(own: Site, method: str, name: str) -> None:
    """Each parameter of each method: the error names it, and what was expected."""
    call = StateManager if method == "__init__" else getattr(StateManager(own.app), method)
    needed = {"execution_id": "e", "action_id": "a", "status": "running", "plan": PLAN, "confirmed": True, "result": 1}
    given = {key: value for key, value in needed.items() if key in inspect.signature(call).parameters}
    assert name in get_type_hints(getattr(StateManager, method))
    for value in WRONG:
        with pytest.raises(TypeError, match=rf"StateManager\.{method}: {name} is .*; expected "):
            call(**{**given, name: value})
    assert not own.all_keys() or not [key for key in own.all_keys() if "{e}" in key]


def test_a_number_as_text_is_no_timeout(own: Site) -> None:
    """It was ``unsupported operand``; and with NaN, which nothing is later than, ``wait`` never came back."""
    manager = StateManager(own.app)
    driven = manager.initialize_state(PLAN, start=False)
    for timeout in ("5", math.nan, True):
        with pytest.raises(TypeError, match=r"timeout is .*; expected a number or None"):
            manager.wait(driven.id, timeout=timeout)  # type: ignore[arg-type]
    manager.cancel_execution(driven.id)


def test_a_text_is_no_list_of_ids(own: Site) -> None:
    """``skip="ab"`` named the actions a and b; what is no id in a list is an action that is not there."""
    manager = StateManager(own.app)
    driven = manager.initialize_state(PLAN, start=False)
    manager.cancel_execution(driven.id)
    with pytest.raises(TypeError, match="skip is 'ab'; expected Collection"):
        manager.rerun(driven.id, skip="ab")
    with pytest.raises(ActionNotFoundError, match=r"has no action \['a'\]; its actions are: 'a', 'b'"):
        manager.rerun(driven.id, skip=[["a"]])  # type: ignore[list-item]


@pytest.mark.parametrize("after", [-(10**30), -5, -1, 10**30])
def test_a_number_that_no_event_has(own: Site, after: int) -> None:
    """``after`` counts as what it says, however far from any event: the server refused it in words of its own."""
    manager = StateManager(own.app)
    driven = manager.initialize_state(PLAN, start=False)
    manager.cancel_execution(driven.id)
    there = manager.history(driven.id) if after < 0 else []
    assert manager.history(driven.id, after=after) == there
    assert list(manager.watch(driven.id, after=after)) == there


def test_a_status_that_does_not_exist(own: Site) -> None:
    """The error says which there are."""
    manager = StateManager(own.app)
    driven = manager.initialize_state(PLAN, start=False)
    with pytest.raises(ValueError, match="'complete' is not a valid ExecutionStatus; expected one of initializing, "):
        manager.list_executions(status="complete")
    with pytest.raises(ValueError, match="'done' is not a valid ActionStatus; expected one of pending, running, "):
        manager.update_action_status(driven.id, "a", "done")
    manager.cancel_execution(driven.id)

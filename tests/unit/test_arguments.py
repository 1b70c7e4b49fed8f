"""Arguments of a wrong type are refused by name, with what was found and what was expected, before anything is done."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar, get_type_hints

import pytest
from celery import Celery

import workflow_state
from workflow_state.arguments import checked, checked_methods, member_of
from workflow_state.models import ActionStatus
from workflow_state.testing import run_plan

T = TypeVar("T")


@checked
def take(
    text: str = "",
    number: float = 0,
    whole: int = 0,
    flag: bool = False,
    many: Collection[str] = (),
    named: Mapping[str, int] | None = None,
    when: datetime | None = None,
    status: ActionStatus | str = "running",
    call: Callable[[], T] | None = None,
    kind: Literal["a", "b"] = "a",
    *rest: Any,
    anything: object = None,
) -> tuple[Any, ...]:
    """Gives what it is given."""
    return text, number, whole, flag, many, named, when, status, call, kind, rest, anything


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("text", 1, "is 1; expected a text"),
        ("text", b"x", "is b'x'; expected a text"),
        ("text", None, "is None; expected a text"),
        ("text", ["a"], "is of type list; expected a text"),
        ("text", True, "is True; expected a text"),
        ("number", "5", "is '5'; expected a number"),
        ("number", math.nan, "is nan; expected a number"),
        ("number", True, "is True; expected a number"),
        ("whole", 1.0, "is 1.0; expected a whole number"),
        ("whole", True, "is True; expected a whole number"),
        ("flag", "no", "is 'no'; expected True or False"),
        ("flag", 1, "is 1; expected True or False"),
        ("many", "fetch", "is 'fetch'; expected Collection"),
        ("many", (name for name in "ab"), "is of type generator; expected Collection"),
        ("named", [("a", 1)], "is of type list; expected Mapping or None"),
        ("when", "2026-01-01", "is '2026-01-01'; expected datetime or None"),
        ("status", 3, "is 3; expected ActionStatus or a text"),
        ("call", "f", "is 'f'; expected Callable or None"),
        ("kind", 7, "is 7; expected a text"),
        ("named", '{"password": "x"}', "is of type str; expected Mapping or None"),
        pytest.param("text", 10**5000, "is of type int; expected a text", id="no number of that size can be shown"),
        ("whole", "x" * 99, f"is 'x{'x' * 55}...; expected a whole number"),
    ],
)
def test_a_wrong_type_is_named(name: str, value: object, said: str) -> None:
    """The error names the function, the parameter, what was found and what is expected."""
    with pytest.raises(TypeError) as caught:
        take(**{name: value})  # type: ignore[arg-type]
    assert str(caught.value) == f"take: {name} {said}"


def test_what_is_right_goes_through() -> None:
    """Nothing is changed on the way, a whole number is a number, and a subclass is what its class is."""
    given = ("x", 1, 2, True, ["a"], {"a": 1}, datetime.now(), ActionStatus.FAILED, len, "b", (1, "x"), None)  # noqa: DTZ005
    assert take(*given[:10], 1, "x") == given
    assert take(number=math.inf, many={"a"}, anything=math.nan)[1] == math.inf


def test_the_signature_is_the_functions_own() -> None:
    """Documentation and editors show what was written."""
    assert str(inspect.signature(take)).startswith("(text: 'str' = ''")
    assert (take.__name__, take.__doc__) == ("take", "Gives what it is given.")


def test_a_class_is_checked_where_it_is_public() -> None:
    """How it is made and its public methods; not what it keeps for itself."""

    @checked_methods
    class Shop:
        def __init__(self, name: str) -> None:
            self.name = name

        def sell(self, amount: int) -> int:
            return self._count(f"{amount}")

        def _count(self, amount: Any) -> int:
            return int(amount)

    with pytest.raises(TypeError, match=r"Shop\.__init__: name is 1; expected a text"):
        Shop(1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"Shop\.sell: amount is '1'; expected a whole number"):
        Shop("x").sell("1")  # type: ignore[arg-type]
    assert Shop("x").sell(3) == 3


def test_a_name_that_is_no_member() -> None:
    """The error says all that it could have been."""
    assert member_of(ActionStatus, "failed") is ActionStatus.FAILED
    with pytest.raises(ValueError, match="'done' is not a valid ActionStatus; expected one of pending, running, comp"):
        member_of(ActionStatus, "done")


#: Told in their own way, or called for each action, so that a check would cost.
OTHERS = {"action", "action_task_id", "create_state_manager", "resolve_reference"}
FUNCTIONS = {
    name: found
    for name, found in [*vars(workflow_state).items(), ("run_plan", run_plan)]
    if inspect.isfunction(found) and (name in workflow_state.__all__ or name == "run_plan") and name not in OTHERS
}


def test_a_reference_is_a_text() -> None:
    """Or one that was parsed; anything else was an ``AttributeError``."""
    with pytest.raises(TypeError, match="parse_reference: text is 7; expected a text"):
        workflow_state.resolve_reference(7, {})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_functions_name_what_is_wrong(name: str) -> None:
    """Of every function: the first argument of a wrong type is named; it was an ``AttributeError`` somewhere."""
    function = FUNCTIONS[name]
    hints, needed = get_type_hints(function), inspect.signature(function).parameters
    closed = [key for key in needed if hints[key] not in (object, object | None)]
    for key in closed:
        given = {other: object() for other in needed if other == key or other not in closed}
        given |= {
            other: GOOD[other] for other in closed if other != key and needed[other].default is inspect.Parameter.empty
        }
        with pytest.raises(TypeError, match=f"^{name}: {key} is of type object; expected "):
            function(**given)


PLAN = workflow_state.ExecutionPlan(actions=[workflow_state.PlannedAction(id="a", action_definition_id="x")])
GOOD: dict[str, Any] = {
    "action_ids": [],
    "parallel_ids": [],
    "combiner_id": "a",
    "condition_action_id": "a",
    "output_field": "",
    "branches": [],
    "primary_id": "a",
    "fallback_ids": [],
    "items": [],
    "batch_size": 1,
    "create_action": dict,
    "actions": [],
    "action": {},
    "action_states": {},
    "app": Celery(set_as_current=False),
    "answer": workflow_state.CompletedAnswer(execution_id="e", action_id="a", output=1),
    "plan": PLAN,
    "state": run_plan(PLAN, {"x": lambda: 1}),
}

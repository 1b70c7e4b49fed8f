"""Actions: functions as users write them, registered, validated and called."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import partial, wraps
from typing import Annotated, Any, NotRequired, Unpack
from uuid import UUID

import pytest
import structlog
from celery import Celery
from pydantic import BaseModel, Field, field_validator
from typing_extensions import TypedDict

from workflow_state import ActionContext, ActionError, ActionRegistrationError, ActionRegistry, UnknownActionError
from workflow_state.models import ErrorCategory
from workflow_state.testing import run_plan

CONTEXT = ActionContext(
    execution_id="e",
    plan_id="p",
    action_id="a",
    attempt=2,
    idempotency_key="k",
    logger=structlog.stdlib.get_logger(),
    cancel_check=lambda: True,
)


@pytest.mark.parametrize("fraction", ["half", None, float("nan"), [0.5], 10**400])
def test_progress_that_is_no_number_is_named(fraction: Any) -> None:
    """NaN was an error of a script on the server, and a text one of Python's; neither named the action."""
    with pytest.raises(ValueError, match=r"The progress of action 'a' is .*; expected a number from 0 to 1"):
        CONTEXT.progress(fraction)


def test_progress_is_told_within_bounds() -> None:
    """Any kind of number counts, and a message that is no text in UTF-8 does not fail the action."""
    told: list[tuple[float, str]] = []
    context = replace(CONTEXT, progress_report=lambda fraction, message: told.append((fraction, message)))
    for fraction in (Decimal("0.5"), -1, 7, float("inf"), True):
        context.progress(fraction, "half \ud800")  # type: ignore[arg-type]
    assert [fraction for fraction, _ in told] == [0.5, 0.0, 1.0, 1.0, 1.0]
    assert {message for _, message in told} == {"half ?"}


@pytest.fixture
def registry() -> ActionRegistry:
    """A registry of this test's own."""
    return ActionRegistry()


def call(registry: ActionRegistry, function: Any, **inputs: Any) -> Any:
    """Register a function and run it once."""
    return registry.register("it", function).run(inputs, CONTEXT)


def test_the_decorator_gives_the_function_back(registry: ActionRegistry) -> None:
    """``@action`` registers and changes nothing: the function can still be called and tested."""

    @registry.action("greet")
    def greet(name: str, punctuation: str = "!") -> str:
        return f"Hello {name}{punctuation}"

    assert greet("you") == "Hello you!"
    assert registry.get("greet").run({"name": "you"}, CONTEXT) == "Hello you!"
    assert "greet" in registry
    assert list(registry) == ["greet"]


@pytest.mark.parametrize("found", ["", None, 5, lambda: 1])
def test_an_action_without_an_id_is_refused_where_it_is_written(registry: ActionRegistry, found: Any) -> None:
    """``@action`` without its parentheses, or with no text as id, is an error: nothing was registered, in silence."""
    with pytest.raises(ActionRegistrationError, match=r"as in @action\('orders.price'\); found .+"):
        registry.action(found)
    with pytest.raises(ActionRegistrationError, match="the id by which plans name it"):
        registry.register(found, lambda: 1)
    assert list(registry) == []


def test_inputs_are_validated_by_the_type_hints(registry: ActionRegistry) -> None:
    """Inputs become the types that the hints name: models, dates, enums, dataclasses, constrained numbers."""

    class Colour(Enum):
        RED = "red"

    class Person(BaseModel):
        name: str

    @dataclass
    class Point:
        x: int

    def use(who: Person, day: date, colour: Colour, at: Point, share: Annotated[float, Field(le=1)]) -> list[str]:
        return [type(v).__name__ for v in (who, day, colour, at, share)]

    # Classes of a function are not visible to the hints of a module with postponed annotations.
    use.__annotations__ = {
        "who": Person,
        "day": date,
        "colour": Colour,
        "at": Point,
        "share": Annotated[float, Field(le=1)],
        "return": list[str],
    }
    inputs = {"who": {"name": "Ada"}, "day": "2024-02-29", "colour": "red", "at": {"x": 1}, "share": 0.5}
    assert call(registry, use, **inputs) == ["Person", "date", "Colour", "Point", "float"]


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "a: Field required"),
        ({"a": "x"}, "a: Input should be a valid integer"),
        ({"a": 1, "c": 2}, "c: Extra inputs are not permitted"),
        ({"a": None}, "a: Input should be a valid integer"),
    ],
)
def test_bad_inputs_are_named_and_never_shown(registry: ActionRegistry, inputs: dict[str, Any], said: str) -> None:
    """What does not validate is ``validation_failed``, not retryable, names the field, and shows no value."""

    def add(a: int, b: int = 0) -> int:
        return a + b

    with pytest.raises(ActionError) as failed:
        call(registry, add, **inputs)
    assert said in failed.value.message
    assert (failed.value.category, failed.value.retryable) == (ErrorCategory.VALIDATION_FAILED, False)


def test_secrets_do_not_leak_from_bad_inputs(registry: ActionRegistry) -> None:
    """A value that does not validate is in no message and no context."""

    def login(password: int) -> None: ...

    with pytest.raises(ActionError) as failed:
        call(registry, login, password="hunter2")
    assert "hunter2" not in repr((failed.value.message, failed.value.context))


class Breaks(BaseModel):
    """Raises what pydantic does not turn into an error of its own."""

    x: int

    @field_validator("x")
    @classmethod
    def look_it_up(cls, value: int) -> int:
        raise RuntimeError(f"the database that knows {value} is away")


def test_a_validator_that_breaks_is_the_error_of_its_action() -> None:
    """Whatever a user's validator raises, the attempt fails with it, and is recorded."""

    def take(it: Breaks) -> None:
        raise AssertionError("never called")

    once = {"id": "a", "action_definition_id": "take", "inputs": {"it": {"x": 1}}, "retry": {"max_attempts": 1}}
    state = run_plan({"actions": [once]}, {"take": take})
    found = state.action_states["a"]
    assert found.status == "failed"
    assert found.error is not None
    assert found.error.message == "RuntimeError: the database that knows 1 is away"


def test_open_ended_functions_take_anything(registry: ActionRegistry) -> None:
    """``**kwargs`` takes inputs that have no parameter of their own."""

    def collect(first: int, *ignored: Any, **rest: Any) -> dict[str, Any]:
        return {"first": first, **rest}

    assert call(registry, collect, first="1", second=[2]) == {"first": 1, "second": [2]}


class Named(TypedDict):
    """Inputs that are named elsewhere."""

    price: int
    note: NotRequired[str]


def test_further_inputs_are_validated_by_their_hint(registry: ActionRegistry) -> None:
    """``**kwargs`` with a type hint takes any name, validated; ``Unpack`` of a TypedDict only its names."""

    def total(first: int, **others: int) -> int:
        return first + sum(others.values())

    def named(**inputs: Unpack[Named]) -> dict[str, Any]:
        return dict(inputs)

    assert call(registry, total, first="1", second="2") == 3
    with pytest.raises(ActionError, match="second: Input should be a valid integer"):
        registry.get("it").run({"first": 1, "second": "two"}, CONTEXT)
    registry.register("named", named)
    assert registry.get("named").run({"price": "2"}, CONTEXT) == {"price": 2}
    for inputs, problem in (({"price": "x"}, "price: Input should"), ({"price": 1, "other": 1}, "other: Extra")):
        with pytest.raises(ActionError, match=problem):
            registry.get("named").run(inputs, CONTEXT)


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (None, None),
        ((1, 2), [1, 2]),
        ({"at": datetime(2024, 1, 1, tzinfo=UTC)}, {"at": "2024-01-01T00:00:00Z"}),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (b"text", "text"),
        ((n for n in range(3)), [0, 1, 2]),
        ({1: "one"}, {"1": "one"}),
    ],
)
def test_outputs_become_json(registry: ActionRegistry, value: Any, json: Any) -> None:
    """What pydantic can turn into JSON is an output; the caller gets JSON types."""
    assert call(registry, lambda: value) == json


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (object(), "is not JSON"),
        (b"\xff", "is not JSON"),
        ("\ud800", "half of a surrogate pair"),
        ({"\udfff": 1}, "surrogates not allowed"),
        ([{"__type__": "uuid", "__value__": "x"}], "__type__"),
    ],
)
def test_outputs_that_are_not_json(registry: ActionRegistry, value: Any, said: str) -> None:
    """What JSON cannot hold, or Celery would read as something else, fails the action with a hint."""
    with pytest.raises(ActionError, match=said) as failed:
        call(registry, lambda: value)
    assert (failed.value.category, failed.value.retryable) == (ErrorCategory.VALIDATION_FAILED, False)


NAN, INFINITY = float("nan"), float("-inf")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Any, NAN),
        (float, NAN),
        (object, INFINITY),
        (dict, {"mean": NAN}),
        (dict[str, Any], {"mean": [INFINITY]}),
        (list, [NAN]),
        (list[Any] | None, [{"mean": INFINITY}]),
    ],
)
def test_an_output_with_no_number_is_refused_whatever_its_annotation(
    registry: ActionRegistry, kind: Any, value: Any
) -> None:
    """NaN and infinity, which JSON has not, fail the action: they are not null to who reads its output."""

    def mean() -> Any:
        return value

    mean.__annotations__["return"] = kind
    with pytest.raises(ActionError, match=r"(nan|-inf) is no JSON number"):
        call(registry, mean)


def test_an_output_that_nests_too_deep(registry: ActionRegistry) -> None:
    """64 levels are kept, 65 are refused: whoever reads a state must be able to."""

    def nested(depth: int) -> Any:
        value: Any = 1
        for _ in range(depth):
            value = [value]
        return value

    assert call(registry, nested, depth=64) == nested(64)
    with pytest.raises(ActionError, match="nests deeper than 64 levels"):
        registry.get("it").run({"depth": 65}, CONTEXT)


def test_the_return_annotation_is_a_promise(registry: ActionRegistry) -> None:
    """An output that breaks the annotation is the action's failure; one that can be converted is."""

    def number(value: Any) -> int:
        return value  # type: ignore[no-any-return]

    assert call(registry, number, value="7") == 7
    with pytest.raises(ActionError, match="Output of action definition 'it' is not valid: value: Input should be"):
        registry.get("it").run({"value": "seven"}, CONTEXT)


def test_the_context_is_given_to_who_asks(registry: ActionRegistry) -> None:
    """A parameter annotated ``ActionContext``, whatever its name and optional or not, gets the context."""

    def named(value: int, me: ActionContext) -> list[Any]:
        return [value, me.attempt, me.is_cancelled()]

    def optional(context: ActionContext | None = None) -> str:
        return context.action_id if context else "none"

    assert call(registry, named, value=1) == [1, 2, True]
    assert ActionRegistry().register("it", optional).run({}, CONTEXT) == "a"


def test_an_input_cannot_take_the_place_of_the_context(registry: ActionRegistry) -> None:
    """An input of the context parameter's name is refused, also by a function that takes anything else."""

    def anything(ctx: ActionContext, **rest: Any) -> dict[str, Any]:
        return rest

    with pytest.raises(ActionError, match="ctx"):
        call(registry, anything, ctx=5)
    assert registry.get("it").run({"other": 5}, CONTEXT) == {"other": 5}


def test_async_functions(registry: ActionRegistry) -> None:
    """An ``async def`` is run to its end, with its error as its own."""

    async def later(value: int) -> int:
        await asyncio.to_thread(int)
        if value < 0:
            raise ValueError("negative")
        return value

    assert call(registry, later, value=3) == 3
    with pytest.raises(ValueError, match="negative"):
        registry.get("it").run({"value": -1}, CONTEXT)


def test_an_async_function_beside_a_running_loop(registry: ActionRegistry) -> None:
    """A plan that a coroutine runs in process, or a notebook, runs async actions too, in the caller's context."""
    where: ContextVar[str] = ContextVar("where")

    async def later(value: int) -> str:
        await asyncio.sleep(0)
        return f"{where.get()} {value}"

    async def caller() -> Any:
        where.set("here")
        return call(registry, later, value=3)

    assert asyncio.run(caller()) == "here 3"


def test_a_celery_task_is_an_action_in_one_line(registry: ActionRegistry) -> None:
    """``registry.register("id", task)`` takes an existing task, bound or not; its function is what runs."""
    app = Celery("tasks", set_as_current=False)

    @app.task
    def double(x: int) -> int:
        return 2 * x

    @app.task(bind=True)
    def named(self: Any, x: int) -> str:
        return f"{self.name.rsplit('.')[-1]}:{x}"

    registry.register("double", double)
    registry.register("named", named)
    assert registry.get("double").run({"x": "4"}, CONTEXT) == 8
    assert registry.get("named").run({"x": 1}, CONTEXT) == "named:1"


def test_methods_and_callables(registry: ActionRegistry) -> None:
    """A bound method and an object that can be called are functions too."""

    class Service:
        def charge(self, amount: int) -> int:
            return amount

        def __call__(self, amount: int) -> int:
            return -amount

    def pay(account: str, amount: int, times: int) -> str:
        return f"{account} {amount * times}"

    assert call(registry, Service().charge, amount="5") == 5
    assert registry.register("call", Service()).run({"amount": "5"}, CONTEXT) == -5
    assert registry.register("part", partial(pay, "cash", times=2)).run({"amount": "5"}, CONTEXT) == "cash 10"


def test_an_id_belongs_to_one_function(registry: ActionRegistry) -> None:
    """Another function under a taken id is refused; the same one again, as a re-import gives it, is not."""

    def make(value: int) -> Any:
        def function() -> int:
            return value

        return function

    registry.register("it", make(1))
    registry.register("it", make(2))
    assert registry.get("it").run({}, CONTEXT) == 2
    with pytest.raises(ActionRegistrationError, match=r"'it' is already .*make.*needs an id of its own"):
        registry.register("it", lambda: 3)


def test_a_cell_of_a_notebook_may_be_changed_and_run_again(registry: ActionRegistry) -> None:
    """The function in it takes the place of the one that it was; one of another name is refused as everywhere."""

    def run_cell(number: int, source: str) -> None:
        exec(compile(source, f"<ipython-input-{number}>", "exec"), {"__name__": "__main__", "registry": registry})

    run_cell(1, '@registry.action("it")\ndef one() -> int:\n    return 1\n')
    run_cell(2, '\n@registry.action("it")\ndef one() -> int:\n    return 2\n')
    assert registry.get("it").run({}, CONTEXT) == 2
    with pytest.raises(ActionRegistrationError, match=r"'it' is already __main__.one; __main__.two needs"):
        run_cell(3, '@registry.action("it")\ndef two() -> int:\n    return 3\n')


def test_a_decorator_does_not_make_functions_the_same(registry: ActionRegistry) -> None:
    """Two functions under one id are refused also when the same decorator, or Celery's ``autoretry_for``, is on both:
    the second would run in place of the first.
    """

    def logged(function: Any) -> Any:
        @wraps(function)
        def inner() -> Any:
            return function()

        return inner

    def one() -> int:
        return 1

    def two() -> int:
        return 2

    app = Celery("tasks", set_as_current=False)
    for decorate in (logged, app.task(autoretry_for=(ValueError,))):
        registry = ActionRegistry()
        registry.register("it", decorate(one))
        with pytest.raises(ActionRegistrationError, match=r"'it' is already .*one; .*two needs an id of its own"):
            registry.register("it", decorate(two))
        registry.register("it", decorate(one))


def test_functions_that_cannot_be_actions(registry: ActionRegistry) -> None:
    """Positional-only parameters and hints that name nothing are refused where they are registered."""

    def positional(a: int, /) -> None: ...

    def unknown(a: int) -> None: ...

    unknown.__annotations__["a"] = "Nowhere"
    with pytest.raises(ActionRegistrationError, match="positional-only"):
        registry.register("it", positional)
    with pytest.raises(ActionRegistrationError, match="Nowhere"):
        registry.register("it", unknown)


def test_an_unknown_id_says_what_there_is(registry: ActionRegistry) -> None:
    """The error names near misses and everything that is registered."""
    with pytest.raises(UnknownActionError, match=r"'x' here \(import the module.*; registered: none"):
        registry.get("x")
    registry.register("payments.charge", lambda: None)
    with pytest.raises(UnknownActionError, match=r"did you mean 'payments\.charge'\?.*registered: payments\.charge"):
        registry.get("payments.charg")


def test_a_registry_can_be_overlaid(registry: ActionRegistry) -> None:
    """For tests: some functions replaced, the others kept, the registry below unchanged."""
    registry.register("a", lambda: 1)
    registry.register("b", lambda: 2)
    over = registry.overlaid({"a": lambda: 10})
    assert [over.get(n).run({}, CONTEXT) for n in "ab"] == [10, 2]
    assert registry.get("a").run({}, CONTEXT) == 1


def test_the_error_of_an_action_has_everything() -> None:
    """``ActionError`` keeps what it is given; its defaults are retryable and ``action_failed``."""
    plain = ActionError("no")
    assert (plain.category, plain.retryable, plain.context, str(plain)) == ("action_failed", True, {}, "no")
    full = ActionError("no", category=ErrorCategory.AUTH_INVALID, retry_after=1.5, context={"a": 1}, retryable=False)
    assert (full.category, full.retry_after, full.context) == ("auth_invalid", 1.5, {"a": 1})


@pytest.mark.parametrize("name", ["context", "ctx"])
def test_a_context_without_its_annotation_is_told_how_it_is_given(registry: ActionRegistry, name: str) -> None:
    """The action fails for a required input that nobody meant; the suggestion says what the parameter lacks."""
    scope: dict[str, Any] = {}
    exec(f"def asks({name}, x): return x", scope)
    with pytest.raises(ActionError, match=f"{name}: Field required") as failed:
        call(registry, scope["asks"], x=1)
    assert "context: ActionContext" in (failed.value.suggestion or "")
    with pytest.raises(ActionError) as other:
        call(registry, scope["asks"], **{name: 1})
    assert other.value.suggestion is None


def test_a_type_that_is_no_json_is_refused_with_what_to_write(registry: ActionRegistry) -> None:
    """The error names the type and what to annotate with; pydantic's advice was for a model, which there is not."""

    class Frame:
        pass

    def frame() -> Any:
        return None

    frame.__annotations__["return"] = Frame
    with pytest.raises(ActionRegistrationError, match="Frame'>; annotate with JSON types") as refused:
        registry.register("frame", frame)
    assert "arbitrary_types_allowed" not in str(refused.value)

"""``run_plan``: a user's plan in a user's test, with no broker, no worker and no waiting."""

from __future__ import annotations

import itertools
import time
import uuid
from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock

import pytest

from workflow_state import (
    ActionContext,
    ActionError,
    ActionRegistry,
    ExecutionPlan,
    ExecutionState,
    PlanValidationError,
    Success,
    action_task_id,
)
from workflow_state.testing import run_plan

HOUR = 3_600_000
START = 1_700_000_000_000
#: Waits of an hour and two, exactly.
PATIENT = {"max_attempts": 3, "factor": 2, "min_timeout_in_ms": HOUR, "max_timeout_in_ms": 9 * HOUR, "randomize": False}


def act(name: str, *after: str, do: str = "value", **fields: Any) -> dict[str, Any]:
    """An action of a plan."""
    return {"id": name, "action_definition_id": do, "dependencies": list(after), **fields}


def plan(*actions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A plan."""
    return {"actions": list(actions), **fields}


def value(value: Any = None) -> Any:
    """What it was given."""
    return value


def flaky(ctx: ActionContext, times: int = 2) -> int:
    """Fails at first."""
    if ctx.attempt <= times:
        raise ConnectionError(f"attempt {ctx.attempt}")
    return ctx.attempt


def refused() -> None:
    """Fails for good."""
    raise ActionError("no", retryable=False)


ACTIONS = {"value": value, "flaky": flaky, "refused": refused}


@pytest.mark.parametrize("kind", [Mock, MagicMock, AsyncMock])
def test_a_mock_stands_in_for_an_action(kind: type[Mock]) -> None:
    """It is called with the inputs, and what it returns is the output: its attribute ``run``, made up, was called."""
    mock = kind(return_value=7)
    state = run_plan(plan(act("a", inputs={"value": 2})), {"value": mock})
    assert state.action_states["a"].result == Success(output=7)
    mock.assert_called_once_with(value=2)


def test_the_final_state_comes_back() -> None:
    """The state is that of the engine: results, statuses, attempts, metrics; it can be read as JSON."""
    state = run_plan(
        plan(act("a", inputs={"value": 2}), act("b", "a", inputs={"value": "${a.output}"}), id="p"), ACTIONS
    )
    assert (state.status, state.plan_id) == ("completed", "p")
    assert state.action_states["b"].result == Success(output=2)
    assert state.metrics.completed_actions == 2
    assert ExecutionState.model_validate_json(state.model_dump_json()) == state


def test_a_failed_plan_raises_nothing() -> None:
    """A test looks at the state: a plan that fails gives it like any other."""
    state = run_plan(plan(act("a", do="refused"), act("b", "a")), ACTIONS)
    assert (state.status, state.error and state.error.message) == ("failed", "Action 'a' failed: no")
    assert {name: found.status.value for name, found in state.action_states.items()} == {"a": "failed", "b": "skipped"}


def test_a_bad_plan_is_refused() -> None:
    """With every problem of the plan."""
    with pytest.raises(PlanValidationError) as error:
        run_plan(plan(act("a", "nobody"), act("a")), ACTIONS)
    assert [problem.code for problem in error.value.errors] == ["duplicate_id", "unknown_dependency"]


@pytest.mark.parametrize(
    "form", [dict, ExecutionPlan.model_validate, lambda p: ExecutionPlan.model_validate(p).model_dump_json()]
)
def test_every_form_of_a_plan(form: Any) -> None:
    """A dict, a model or JSON text, as for ``execute_plan``."""
    assert run_plan(form(plan(act("a"))), ACTIONS).status == "completed"


def test_a_retry_of_an_hour_takes_no_time() -> None:
    """Waits are added to the clock, nothing sleeps: three hours pass for the plan, none for the test."""
    began = time.monotonic()
    state = run_plan(plan(act("a", do="flaky", retry=PATIENT)), ACTIONS, now=lambda: START)
    assert time.monotonic() - began < 5
    found = state.action_states["a"]
    assert [round(attempt.started_at.timestamp() * 1000) - START for attempt in found.trace] == [0, HOUR, 3 * HOUR]
    assert (found.duration, state.metrics.total_duration) == (3 * HOUR, 3 * HOUR)
    assert state.started_at is not None
    assert round(state.started_at.timestamp() * 1000) == START


def test_the_clock_can_be_given() -> None:
    """Every time in the state is the given clock's."""
    ticks = itertools.count(START, 10)
    state = run_plan(plan(act("a"), act("b", "a")), ACTIONS, now=lambda: next(ticks))
    times = [found.started_at for found in state.action_states.values()]
    assert all(moment is not None and START <= moment.timestamp() * 1000 < START + 1000 for moment in times)
    assert state.action_states["a"].completed_at <= state.action_states["b"].started_at


def test_others_run_while_one_waits() -> None:
    """A wait is its action's own: what else is on the level runs meanwhile, and in the order of its time."""
    patient = act("late", do="flaky", retry=PATIENT, inputs={"times": 1})
    sooner = act("soon", do="flaky", retry={**PATIENT, "min_timeout_in_ms": 60_000}, inputs={"times": 1})
    state = run_plan(plan(patient, sooner, act("now")), ACTIONS, now=lambda: START)
    ends = {name: round(found.completed_at.timestamp() * 1000) - START for name, found in state.action_states.items()}
    assert ends == {"late": HOUR, "soon": 60_000, "now": 0}


@pytest.mark.parametrize(("jitter", "wait"), [(0.0, HOUR // 2), (0.5, HOUR * 3 // 4), (1.0, HOUR)])
def test_jitter_can_be_given(jitter: float, wait: int) -> None:
    """A randomised wait is between half and all of the policy's, by the given number from 0 to 1."""
    policy = {**PATIENT, "randomize": True}
    wanted = plan(act("a", do="flaky", inputs={"times": 1}, retry=policy))
    state = run_plan(wanted, ACTIONS, now=lambda: START, jitter=lambda: jitter)
    assert state.action_states["a"].duration == wait


def test_the_default_policy() -> None:
    """3 attempts, after 1 s and after 2 s, as the original has them; at most 30 s however many follow."""
    state = run_plan(plan(act("a", do="flaky")), ACTIONS, now=lambda: START, jitter=lambda: 1.0)
    starts = [round(a.started_at.timestamp() * 1000) - START for a in state.action_states["a"].trace]
    assert starts == [0, 1_000, 3_000]
    many = plan(act("a", do="flaky", inputs={"times": 8}, retry={"max_attempts": 9}))
    state = run_plan(many, ACTIONS, now=lambda: START, jitter=lambda: 1.0)
    starts = [round(a.started_at.timestamp() * 1000) - START for a in state.action_states["a"].trace]
    waits = [after - before for before, after in itertools.pairwise(starts)]
    assert waits == [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]


def test_retry_after_is_a_lower_bound() -> None:
    """The error's own wait counts where it is the longer one."""

    def limited(ctx: ActionContext, seconds: float) -> int:
        if ctx.attempt == 1:
            raise ActionError("slow down", retry_after=seconds)
        return ctx.attempt

    wanted = plan(
        act("long", do="limited", inputs={"seconds": 90}), act("short", do="limited", inputs={"seconds": 0.1})
    )
    state = run_plan(wanted, {"limited": limited}, now=lambda: START, jitter=lambda: 1.0)
    assert (state.action_states["long"].duration, state.action_states["short"].duration) == (90_000, 1_000)


def test_actions_lie_over_the_registered_ones() -> None:
    """What a test gives replaces what is registered under the same id; the others stay available."""
    registered = ActionRegistry()
    registered.register("charge", refused)
    registered.register("value", value)
    both = plan(act("a", do="charge"), act("b", "a", inputs={"value": "${a.output}"}))
    assert run_plan(both, registered).status == "failed"
    state = run_plan(both, registered.overlaid({"charge": lambda: "stub"}))
    assert state.action_states["b"].result == Success(output="stub")
    assert run_plan(both, registered).status == "failed"


def test_an_unknown_action_says_what_there_is() -> None:
    """A definition that nobody gave fails its action, with the nearest name."""
    state = run_plan(plan(act("a", do="valeu")), ActionRegistry().overlaid({"value": value}))
    error = state.action_states["a"].error
    assert error is not None
    assert (error.category, "did you mean 'value'?" in error.message) == ("unknown_action", True)


@pytest.mark.parametrize("function", [lambda n: n, lambda n=0, **others: n + len(others), lambda **given: given["n"]])
def test_any_function_can_be_an_action(function: Any) -> None:
    """Lambdas and functions without annotations take what they are given."""
    state = run_plan(plan(act("a", do="f", inputs={"n": 1})), {"f": function})
    assert state.action_states["a"].result == Success(output=1)


def test_the_context_is_that_of_a_worker() -> None:
    """Ids, attempt, idempotency key, logger and cancel check are there."""
    seen: list[ActionContext] = []
    execution_id = str(uuid.uuid4())
    run_plan(plan(act("a", do="see"), id="p"), {"see": _see(seen)}, execution_id=execution_id)
    (context,) = seen
    assert (context.execution_id, context.plan_id, context.action_id, context.attempt) == (execution_id, "p", "a", 1)
    assert context.idempotency_key == action_task_id(execution_id, "a")
    assert context.is_cancelled() is False
    context.logger.info("seen")


def _see(seen: list[ActionContext]) -> Any:
    def see(ctx: ActionContext) -> None:
        seen.append(ctx)

    return see


def test_async_actions() -> None:
    """An ``async def`` runs to its end."""

    async def later(n: int) -> int:
        return n + 1

    state = run_plan(plan(act("a", do="later", inputs={"n": 1})), {"later": later})
    assert state.action_states["a"].result == Success(output=2)


def test_first_come_first_served() -> None:
    """Actions of a level run in the order of the plan; who is tried again goes to the end of the queue."""
    order: list[str] = []

    def note(ctx: ActionContext, name: str, times: int = 0) -> None:
        order.append(name)
        if ctx.attempt <= times:
            raise ConnectionError

    quick = {"max_attempts": 3, "min_timeout_in_ms": 0}
    names = {"a": 1, "b": 0, "c": 2}
    actions = [act(n, do="note", inputs={"name": n, "times": times}, retry=quick) for n, times in names.items()]
    run_plan(plan(*actions), {"note": note}, now=lambda: START)
    assert order == ["a", "b", "c", "a", "c", "c"]


def test_ids_are_its_own() -> None:
    """Each run has an id of its own, unless one is given."""
    one, other = (run_plan(plan(act("a")), ACTIONS) for _ in range(2))
    assert one.id != other.id
    assert run_plan(plan(act("a")), ACTIONS, execution_id="mine").id == "mine"


def test_a_wide_and_a_deep_plan() -> None:
    """Neither a thousand actions side by side nor a thousand in a row are a problem."""
    wide = [act(f"w{n}") for n in range(1000)]
    deep = [act(f"d{n}", *([f"d{n - 1}"] if n else [])) for n in range(1000)]
    assert run_plan(plan(*wide, *deep), ACTIONS).metrics.completed_actions == 2000

"""Plans that are hostile or broken: too large, too deep, or made to reach what is not theirs.

The promise: size of a plan, of an input and of a result, depth of JSON and number of actions are bounded, with a
clear error; a result over the limit fails its action, not the worker; ids cannot reach another execution's keys.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import chain

from tests.integration.apps import limits_app
from tests.integration.outcomes import TIMEOUT, output, run
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import (
    ActionFailedError,
    ErrorCategory,
    ErrorDetail,
    ExecutionState,
    Failure,
    PlanValidationError,
    StateManager,
    Success,
    action_task_id,
    compile_plan,
    execute_plan,
)
from workflow_state.budget import Budget
from workflow_state.errors import InputTooLargeError
from workflow_state.references import Outcome, resolve_value
from workflow_state.store.keys import Keys, is_execution_id
from workflow_state.validation import prepare_plan


@pytest.fixture(scope="module")
def limited_site(database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An app with low limits, known to its worker and to whoever sends."""
    found = Site(limits_app.make_app(), limits_app.__name__, database(), tmp_path_factory.mktemp("limits"))
    try:
        found.start_worker(concurrency=1)
        yield found
    finally:
        found.close()


@pytest.fixture
def limited(limited_site: Site) -> Iterator[Site]:
    """Its app is the current one; at the end the same worker process still works."""
    with limited_site.current():
        yield limited_site
        assert run(plan(action("a", "test.value", inputs={"value": 1}))).status == "completed"


def many(count: int) -> dict[str, Any]:
    """A plan of that many actions."""
    return plan(*[action(f"a{n}", "test.value") for n in range(count)])


def falling_back(size: int) -> dict[str, Any]:
    """A plan with a fallback value of that size."""
    return plan(action("a", "test.fail", error_handling={"fallback_value": "x" * size}))


def large(size: int) -> dict[str, Any]:
    """A plan with an input of that size."""
    return plan(action("a", "test.value", inputs={"value": "x" * size}))


HUGE_FAILURE = Failure(error=ErrorDetail(category=ErrorCategory.ACTION_FAILED, message="x" * 20_000))
REFUSED = {
    "too many actions": (many(21), "too_many_actions", "21 actions, with a limit of 20"),
    "too large": (large(6_000), "plan_too_large", "with a limit of 5000"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_plan_over_a_limit_is_refused_in_the_caller(limited: Site, name: str) -> None:
    """Whoever sends a plan that is too large is told at once, with the limit; nothing is sent."""
    refused, code, message = REFUSED[name]
    for send in (execute_plan.delay, lambda p: execute_plan.apply_async(kwargs={"plan": p})):
        with pytest.raises(PlanValidationError, match=message) as error:
            send(refused)
        assert [problem.code for problem in error.value.errors] == [code]
    assert limited.redis.llen(limited.queue) == 0


@pytest.mark.parametrize("name", REFUSED)
def test_a_plan_over_a_limit_is_refused_by_the_worker(limited: Site, name: str) -> None:
    """What comes to a worker by another way, out of a chain or sent by hand, is refused there: no execution."""
    refused, code, message = REFUSED[name]
    by_hand = limited.app.send_task("workflow_state.execute_plan", (refused,))
    behind = chain(limited.app.signature("test.prepare", (refused,)), execute_plan.s()).apply_async()
    for result in (by_hand, behind):
        with pytest.raises(PlanValidationError, match=message) as error:
            result.get(timeout=TIMEOUT)
        assert [problem.code for problem in error.value.errors] == [code]
        assert limited.fields(result.id) == {}


def error_of(state: ExecutionState, name: str) -> tuple[str, str]:
    """Category and message of an action's error."""
    error = state.action_states[name].error
    assert error is not None
    return error.category, error.message


@pytest.mark.parametrize("value", [["${a.output}"] * 99, "${a.output}" * 99, {"deep": [{"x": "${a.output}"}] * 99}])
def test_a_small_plan_cannot_make_a_huge_input(limited: Site, value: Any) -> None:
    """References that would multiply an output into a huge input fail their action, once and for good, with the
    limit in the error; what depends on it is skipped.
    """
    state = run(
        plan(
            action("a", "test.value", inputs={"value": "x" * 1_000}),
            action("b", "test.value", "a", inputs={"value": value}),
            action("c", "test.value", "b"),
        )
    )
    category, message = error_of(state, "b")
    assert category == ErrorCategory.VALIDATION_FAILED
    assert "limit of 10000 characters" in message
    assert state.action_states["b"].attempts == 1
    assert limited.runs(state.id) == {"a": 1}


def test_doubling_level_by_level(limited: Site) -> None:
    """Where every level doubles what the one before it made, the plan fails after a few, not after its memory."""
    first = action("a0", "test.value", inputs={"value": ["x" * 50]})
    doubled = [
        action(f"a{n}", "test.value", f"a{n - 1}", inputs={"value": [f"${{a{n - 1}.output}}"] * 2})
        for n in range(1, 20)
    ]
    state = run(plan(first, *doubled))
    assert state.status == "failed"
    assert len(limited.runs(state.id)) < 10


def test_refused_inputs_take_no_memory() -> None:
    """Ten million times a megabyte is given up after the limit, without having been built."""
    outcomes = {"a": Outcome("completed", "x" * 1_000_000)}
    value: Any = ["${a.output}${a.output}"] * 1_000
    tracemalloc.start()
    try:
        with pytest.raises(InputTooLargeError):
            resolve_value(value, outcomes, Budget(4_000_000))
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_a_large_result_fails_its_action_alone(limited: Site) -> None:
    """An output over the limit is refused with both sizes; the action beside it, the worker and the plan go on."""
    state = run(
        plan(
            action("big", "limits.make", inputs={"size": 20_000}, error_handling={"continue_on_failure": True}),
            action("fits", "limits.make", inputs={"size": 9_000}),
            action("after", "test.value", "big", "fits", inputs={"value": "${fits.output}"}),
        )
    )
    assert state.status == "completed"
    category, message = error_of(state, "big")
    assert category == ErrorCategory.VALIDATION_FAILED
    assert "too large: 20" in message
    assert "limit of 10000" in message
    assert state.action_states["big"].attempts == 1
    assert len(output(state, "after")) == 9_000
    with pytest.raises(ActionFailedError, match="too large"):
        limited.app.AsyncResult(action_task_id(state.id, "big")).get(timeout=1)


@pytest.mark.parametrize("start", [True, False])
@pytest.mark.parametrize("name", REFUSED)
def test_a_plan_over_a_limit_is_not_initialized(limited: Site, name: str, start: bool) -> None:
    """An execution that is stored before it starts, or to be driven by hand, has the same limits; nothing is stored."""
    refused, code, message = REFUSED[name]
    execution_id = str(uuid.uuid4())
    with pytest.raises(PlanValidationError, match=message) as error:
        StateManager().initialize_state(refused, start=start, execution_id=execution_id)
    assert [problem.code for problem in error.value.errors] == [code]
    assert limited.fields(execution_id) == {}


def test_a_fallback_value_has_the_limit_of_a_result(limited: Site) -> None:
    """One that could not be a result is refused where its plan is sent, with its place in it."""
    sender = limits_app.make_app()
    settings = {**sender.conf.workflow_state, "max_result_size": 1_000}
    sender.conf.update(broker_url=limited.url, result_backend=limited.url, workflow_state=settings)
    sender.loader.import_default_modules()
    task = sender.tasks["workflow_state.execute_plan"]
    assert task.delay(falling_back(900)).get(timeout=TIMEOUT).status == "completed"
    with pytest.raises(PlanValidationError, match="The fallback value is too large: 1502 bytes") as error:
        task.delay(falling_back(1_500))
    (problem,) = error.value.errors
    assert (problem.code, problem.location) == ("result_too_large", "actions[0].errorHandling.fallbackValue")


@pytest.mark.parametrize("result", [Success(output="x" * 20_000), "x" * 20_000, HUGE_FAILURE])
def test_a_result_by_hand_has_the_limit_too(limited: Site, result: Any) -> None:
    """It is refused with both sizes, and nothing changes, whoever drives the execution: a smaller one can be given."""
    manager = StateManager()
    driven = manager.initialize_state(plan(action("a", "any")), start=False).id
    manager.update_action_status(driven, "a", "running")
    asks = plan(action("a", "test.value", user_confirmation={"title": "?", "message": "?"}))
    waits = manager.initialize_state(asks).id
    wait_until(lambda: manager.get_full_state(waits).status == "paused_for_confirmation", TIMEOUT)
    for execution_id in (driven, waits):
        before = manager.get_full_state(execution_id)
        with pytest.raises(
            ValueError, match=r"too large: \d{5} bytes as JSON, with a limit of 10000; nothing was changed"
        ):
            manager.record_action_result(execution_id, "a", result)
        assert manager.get_full_state(execution_id) == before
        manager.record_action_result(execution_id, "a", "small")
        assert manager.wait(execution_id, TIMEOUT).status == "completed"


def test_a_result_that_a_rerun_is_given_has_the_limit_too(limited: Site) -> None:
    """The rerun is refused, and no execution is stored."""
    done = run(plan(action("a", "test.value", inputs={"value": 1})))
    before = limited.redis.zcard(Keys(limited.prefix).executions)
    with pytest.raises(PlanValidationError, match="action 'a' is too large: 20") as error:
        StateManager().rerun(done.id, results={"a": "x" * 20_000})
    (problem,) = error.value.errors
    assert (problem.code, problem.location) == ("result_too_large", "results.a")
    assert limited.redis.zcard(Keys(limited.prefix).executions) == before


def test_a_huge_error_is_cut(limited: Site) -> None:
    """An error's message and context are kept in part, so that records stay small."""
    state = run(plan(action("a", "limits.huge_error")))
    category, message = error_of(state, "a")
    assert category == ErrorCategory.ACTION_FAILED
    assert message.startswith("yyy")
    assert len(message) <= 4_000
    error = state.action_states["a"].error
    assert error is not None
    assert len(error.model_dump_json()) < 20_000
    assert limited.redis.hstrlen(f"{limited.prefix}:{{{state.id}}}:actions", "a") < 40_000


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_depth(limited: Site) -> None:
    """A plan that nests too deep is refused in the caller, an output that does fails its action."""
    with pytest.raises(PlanValidationError, match="nests deeper than 64"):
        execute_plan.delay(plan(action("a", "test.value", inputs={"value": nested(70)})))
    with pytest.raises(PlanValidationError, match=r"The plan is not JSON|nests deeper"):
        execute_plan.delay('{"actions": ' + "[" * 100_000)
    deeper = [
        action(f"a{n}", "test.value", f"a{n - 1}", inputs={"value": nested(9) if n == 0 else wrapped(n - 1)})
        for n in range(1, 9)
    ]
    state = run(plan(action("a0", "test.value", inputs={"value": nested(9)}), *deeper))
    assert state.status == "failed"
    (failed,) = (name for name, found in state.action_states.items() if found.status == "failed")
    category, message = error_of(state, failed)
    assert category == ErrorCategory.VALIDATION_FAILED
    assert "nests deeper than 64 levels" in message


def wrapped(source: int) -> Any:
    """An earlier output, nine levels deeper."""
    value: Any = f"${{a{source}.output}}"
    for _ in range(9):
        value = [value]
    return value


HOSTILE = [
    "a}:execution",
    "a}{b",
    "{a}",
    "*",
    "a*",
    "a?",
    "[ab]",
    "a|b",
    "a\nb",
    "a\n",
    "a b",
    "../a",
    "a\0",
    "",
    "x" * 201,
]


@pytest.mark.parametrize("odd", HOSTILE)
def test_ids_that_reach_for_other_keys(odd: str) -> None:
    """Braces, separators, globs, blanks, line breaks and zero bytes are in no execution id and in no action id."""
    assert not is_execution_id(odd)
    with pytest.raises(PlanValidationError):
        prepare_plan(plan(action(odd)))


def test_ids_that_look_alike_share_no_key() -> None:
    """Ids that differ in whatever way, colons and spellings of a UUID included, have no key in common."""
    one = "0f8fad5b-d9cb-469f-a165-70867728950e"
    ids = [one, one.upper(), one.replace("-", ""), f"urn:uuid:{one}", "a", "a:execution", "a:actions", "a:b", "A"]
    assert all(map(is_execution_id, ids))
    keys = [key for execution_id in ids for key in Keys("p").all_of(execution_id)]
    keys += [action_task_id(execution_id, name) for execution_id in ids for name in ("a", "b", "1:a")]
    keys += [Keys("p").deadlines, Keys("p").executions, Keys("p").sweeper]
    assert len(set(keys)) == len(keys)


def test_two_spellings_of_one_uuid_are_two_executions(limited: Site) -> None:
    """Whoever sends a plan under another spelling of somebody's execution id does not touch its results."""
    one = str(uuid.uuid4()).replace("0", "a", 1)
    task_ids = (one, one.upper())
    for n, task_id in enumerate(task_ids):
        execute_plan.apply_async((plan(action("a", "test.value", inputs={"value": n})),), task_id=task_id).get(TIMEOUT)
    manager = StateManager()
    assert [output(manager.get_full_state(task_id), "a") for task_id in task_ids] == [0, 1]


def wide(count: int) -> dict[str, Any]:
    """Levels of 100 actions, each of which waits for three of the level before and reads one of them."""
    actions = []
    for n in range(count):
        before = [f"a{max(0, n - 100 - k * 7)}" for k in range(3)] if n >= 100 else []
        inputs = {"x": f"${{{before[0]}.output.items[0].name}}", "text": "plain"} if before else {"x": n}
        actions.append(action(f"a{n}", "test.value", *dict.fromkeys(before), inputs=inputs))
    return plan(*actions)


def cpu_time(count: int) -> float:
    """Seconds to validate and compile, the best of five; without the garbage collector, which sees all of pytest."""
    wanted, times = wide(count), []
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            began = time.process_time()
            compile_plan(prepare_plan(wanted))
            times.append(time.process_time() - began)
    finally:
        gc.enable()
    return min(times)


def test_validation_is_linear() -> None:
    """Five times the actions take about five times as long to validate and compile, not twenty-five.

    Measured by turns: a moment in which the machine is slow must not be that of one size alone.
    """
    many, few = zip(*((cpu_time(5_000), cpu_time(1_000)) for _ in range(5)), strict=True)
    assert min(many) / min(few) < 8

"""The main path: a real plan on real workers, and everything that can be read of it, from everywhere."""

from __future__ import annotations

import json
import uuid
from datetime import UTC

import pytest
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult

from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import (
    ActionFailedError,
    ActionNotFoundError,
    ErrorCategory,
    ExecutionNotFoundError,
    ExecutionPlan,
    ExecutionState,
    Failure,
    PlannedAction,
    Skipped,
    StateManager,
    Success,
    action_task_id,
    execute_plan,
)

TIMEOUT = 20

#: Levels, data by reference, parallel actions, a skipped and a tolerated failed one: a bit of everything.
ORDER = plan(
    action("fetch", "test.value", inputs={"value": {"items": [{"price": 3}, {"price": 4}], "kind": "gift"}}),
    action("sum", "test.add", "fetch", inputs={"a": "${fetch.output.items[0].price}", "b": 4}),
    action("label", "test.echo", "fetch", inputs={"text": "a ${fetch.output.kind} of ${fetch.output.items}"}),
    action("invoice", "test.echo", "fetch", condition={"if": "${fetch.output.kind} == 'order'", "else": "skip"}),
    action(
        "tweet",
        "test.fail",
        "fetch",
        inputs={"message": "no network", "category": "network_timeout", "retryable": False},
        error_handling={"continue_on_failure": True},
    ),
    action(
        "report",
        "test.echo",
        "sum",
        "label",
        "invoice",
        "tweet",
        inputs={"total": "${sum.output}", "tweet": "${tweet.status}", "why": "${tweet.error.message}"},
    ),
    id="order",
    name="An order",
)

READ_ELSEWHERE = """
import sys
from workflow_state import StateManager
from APP import app
print(StateManager(app).get_full_state(sys.argv[1]).model_dump_json())
"""


@pytest.fixture(scope="module", params=["library", "own"])
def ended(request: pytest.FixtureRequest) -> tuple[Site, ExecutionState]:
    """The order, run once on each app."""
    found: Site = request.getfixturevalue(f"{request.param}_site")
    with found.current():
        state = execute_plan.delay(ORDER).get(timeout=TIMEOUT)
    return found, state


def test_get_gives_the_final_state(ended: tuple[Site, ExecutionState]) -> None:
    """``execute_plan.delay(plan).get()`` returns the final ``ExecutionState``, results included."""
    _, state = ended
    assert isinstance(state, ExecutionState)
    assert (state.status, state.plan_id, state.error) == ("completed", "order", None)
    results = {name: found.result for name, found in state.action_states.items()}
    assert results["sum"] == Success(output=7)
    assert results["label"] == Success(output={"text": 'a gift of [{"price": 3}, {"price": 4}]'})
    assert results["report"] == Success(output={"total": 7, "tweet": "failed", "why": "no network"})
    assert isinstance(results["invoice"], Skipped)
    assert results["invoice"].reason == (
        "condition not met: ${fetch.output.kind} == 'order' is false (${fetch.output.kind} = \"gift\")"
    )
    assert isinstance(results["tweet"], Failure)
    assert results["tweet"].error.category == ErrorCategory.NETWORK_TIMEOUT


def test_the_id_of_the_result_is_the_execution_id(site: Site) -> None:
    """``.id`` of what ``delay`` returns is the execution id, and the ``task_id=`` of the caller if given."""
    execution_id = f"mine:{uuid.uuid4()}"
    result = execute_plan.apply_async((plan(action("a")),), task_id=execution_id)
    assert result.id == execution_id
    assert result.get(timeout=TIMEOUT).id == execution_id


def test_states_durations_attempts_and_trace(ended: tuple[Site, ExecutionState]) -> None:
    """Every action tells when it started and ended, how long it took, and what each attempt did."""
    found, state = ended
    assert state.started_at is not None
    assert state.completed_at is not None
    assert state.started_at.tzinfo == UTC
    for name in ("fetch", "sum", "label", "report"):
        done = state.action_states[name]
        assert (done.status, done.attempts, done.error) == ("completed", 1, None)
        assert done.started_at is not None
        assert done.completed_at is not None
        assert state.started_at <= done.started_at <= done.completed_at <= state.completed_at
        assert done.duration == round((done.completed_at - done.started_at).total_seconds() * 1000)
        (attempt,) = done.trace
        assert (attempt.number, attempt.outcome, attempt.error) == (1, "completed", None)
        assert (attempt.started_at, attempt.completed_at) == (done.started_at, done.completed_at)
        assert attempt.worker.startswith(f"{found.workers[0].name}@test:")
    failed = state.action_states["tweet"]
    assert (failed.status, failed.attempts, [a.outcome for a in failed.trace]) == ("failed", 1, ["failed"])
    assert failed.trace[0].error == failed.error
    skipped = state.action_states["invoice"]
    assert (skipped.status, skipped.attempts, skipped.trace, skipped.started_at) == ("skipped", 0, (), None)
    assert skipped.completed_at is not None


def test_metrics(ended: tuple[Site, ExecutionState]) -> None:
    """The metrics count every action once and give the run's duration in milliseconds."""
    _, state = ended
    metrics = state.metrics
    assert (metrics.total_actions, metrics.completed_actions) == (6, 4)
    assert (metrics.failed_actions, metrics.skipped_actions) == (1, 1)
    assert state.started_at is not None
    assert state.completed_at is not None
    took = state.completed_at - state.started_at
    assert metrics.total_duration == round(took.total_seconds() * 1000)


def test_levels_are_respected(ended: tuple[Site, ExecutionState]) -> None:
    """No action starts before everything it depends on has ended, by the recorded times."""
    _, state = ended
    for edge in ORDER["actions"]:
        after = state.action_states[edge["id"]].started_at
        for name in edge["dependencies"]:
            before = state.action_states[name].completed_at
            assert after is None or (before is not None and before <= after), (name, edge["id"])


def test_another_process_reads_the_same_state(ended: tuple[Site, ExecutionState]) -> None:
    """``get_full_state(id)`` in another process, which knows the app alone, equals what ``.get()`` gave."""
    found, state = ended
    there = found.run_python(READ_ELSEWHERE.replace("APP", found.module), state.id)
    assert ExecutionState.model_validate_json(there) == state


def test_the_plain_async_result_has_the_state_as_json(ended: tuple[Site, ExecutionState]) -> None:
    """``AsyncResult(id)``, which knows nothing of this library, gives the state's JSON and ``SUCCESS``."""
    found, state = ended
    plain = AsyncResult(state.id, app=found.app)
    assert plain.state == "SUCCESS"
    assert plain.get(timeout=1) == state.to_json_dict()
    assert ExecutionState.model_validate(json.loads(json.dumps(plain.result))) == state


def test_the_async_result_of_every_action(ended: tuple[Site, ExecutionState]) -> None:
    """``AsyncResult(action task id)`` gives the output, raises the failure, or is ``REVOKED`` if skipped."""
    found, state = ended

    def of(name: str) -> AsyncResult:
        return AsyncResult(action_task_id(state.id, name), app=found.app)

    assert of("sum").get(timeout=1) == 7
    assert of("sum").state == "SUCCESS"
    assert of("tweet").state == "FAILURE"
    with pytest.raises(ActionFailedError, match="Action 'tweet' failed: no network") as failed:
        of("tweet").get(timeout=1)
    assert failed.value.action_id == "tweet"
    assert failed.value.error["category"] == "network_timeout"
    assert "Traceback" in str(of("tweet").traceback)
    assert of("invoice").state == "REVOKED"
    with pytest.raises(TaskRevokedError, match="skipped: condition not met"):
        of("invoice").get(timeout=1)


def test_the_state_manager_gives_single_results(ended: tuple[Site, ExecutionState]) -> None:
    """``get_action_result`` gives ``Success``, ``Failure`` or ``Skipped``; unknown names are told apart."""
    found, state = ended
    manager = StateManager(found.app)
    for name, recorded in state.action_states.items():
        assert manager.get_action_result(state.id, name) == recorded.result
    assert manager.get_available_actions(state.id) == []
    with pytest.raises(ActionNotFoundError, match=r"has no action 'nobody'; its actions are: 'fetch'"):
        manager.get_action_result(state.id, "nobody")
    with pytest.raises(ExecutionNotFoundError, match="never accepted"):
        manager.get_full_state("nobody-knows-it")


def test_a_running_execution_can_be_watched(site: Site) -> None:
    """While it runs: what is done has its result, what runs is ``running``, the rest ``pending``, no metrics yet."""
    gate = uuid.uuid4().hex
    result = execute_plan.delay(
        plan(
            action("first", "test.value", inputs={"value": 1}),
            action("second", "test.gate", "first", inputs={"name": gate}),
            action("third", "test.value", "second"),
        )
    )
    site.wait_started(gate)
    manager = StateManager()
    state = manager.get_full_state(result.id)
    assert state.status == "running"
    assert state.completed_at is None
    assert {n: a.status.value for n, a in state.action_states.items()} == {
        "first": "completed",
        "second": "running",
        "third": "pending",
    }
    assert [a.outcome for a in state.action_states["second"].trace] == ["running"]
    assert manager.get_action_result(result.id, "second") is None
    assert manager.get_available_actions(result.id) == []
    assert not result.ready()
    site.open_gate(gate)
    final = result.get(timeout=TIMEOUT)
    assert final.status == "completed"
    assert final.version > state.version


def test_the_same_execution_id_twice_is_one_execution(site: Site) -> None:
    """``task_id=`` sent again, while it runs, with another plan, and after its end, changes nothing."""
    gate, execution_id = uuid.uuid4().hex, str(uuid.uuid4())
    wanted = plan(action("a"), action("b", "test.gate", "a", inputs={"name": gate}))
    other = plan(action("c"))
    first = execute_plan.apply_async((wanted,), task_id=execution_id)
    again = [execute_plan.apply_async((p,), task_id=execution_id) for p in (wanted, other)]
    site.wait_started(gate)
    site.open_gate(gate)
    state = first.get(timeout=TIMEOUT)
    assert all(r.get(timeout=TIMEOUT) == state for r in again)
    late = execute_plan.apply_async((other,), task_id=execution_id)
    # A later plan has gone through the same queue after the late copy.
    execute_plan.delay(plan(action("x"))).get(timeout=TIMEOUT)
    wait_until(lambda: site.redis.hlen("unacked") == 0, message="every message is done")
    assert late.get(timeout=TIMEOUT) == state
    assert StateManager().get_full_state(execution_id) == state
    assert site.runs(execution_id) == {"a": 1, "b": 1}


CAMEL = {
    "id": "forms",
    "actions": [
        {"id": "a", "actionDefinitionId": "test.value", "inputs": {"value": [1]}},
        {
            "id": "b",
            "actionDefinitionId": "test.fail",
            "dependencies": ["a"],
            "retry": {"maxAttempts": 1},
            "errorHandling": {"continueOnFailure": True, "fallbackValue": "${not a reference}"},
        },
    ],
}
SNAKE = {
    "id": "forms",
    "actions": [
        {"id": "a", "action_definition_id": "test.value", "inputs": {"value": [1]}},
        {
            "id": "b",
            "action_definition_id": "test.fail",
            "dependencies": ["a"],
            "retry": {"max_attempts": 1},
            "error_handling": {"continue_on_failure": True, "fallback_value": "${not a reference}"},
        },
    ],
}


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(CAMEL, id="camelCase dict"),
        pytest.param(SNAKE, id="snake_case dict"),
        pytest.param(json.dumps(CAMEL), id="camelCase text"),
        pytest.param(json.dumps(SNAKE), id="snake_case text"),
        pytest.param(json.dumps(SNAKE).encode(), id="bytes"),
        pytest.param(ExecutionPlan.model_validate(SNAKE), id="model"),
    ],
)
def test_every_form_of_a_plan_runs_alike(own: Site, given: object) -> None:
    """A plan is an ``ExecutionPlan``, a dict or JSON text, in camelCase or snake_case."""
    state = execute_plan.delay(given).get(timeout=TIMEOUT)
    assert state.plan_id == "forms"
    assert state.action_states["a"].result == Success(output=[1])
    assert state.action_states["b"].result == Success(output="${not a reference}")
    assert state.action_states["b"].error is not None


def test_a_plan_built_from_models(own: Site) -> None:
    """A Python user builds the plan from models, and ``plan=`` by keyword works as well."""
    built = ExecutionPlan(
        actions=(
            PlannedAction(id="a", action_definition_id="test.value", inputs={"value": 2}),
            PlannedAction(id="b", action_definition_id="test.add", inputs={"a": "${a.output}"}, dependencies=("a",)),
        )
    )
    state = execute_plan.delay(plan=built).get(timeout=TIMEOUT)
    assert state.action_states["b"].result == Success(output=2)


def test_values_travel_unchanged(site: Site) -> None:
    """Any JSON comes out of an action, through a reference, and into the next as it was."""
    values = {
        "text": "Grüße, 世界 \u0000 \u2028 ${",
        "numbers": [0, -1, 2**63, 1e300, 0.1],
        "nothing": None,
        "yes": True,
        "empty": [{}, [], ""],
    }
    escaped = {**values, "text": values["text"].replace("${", "$${")}
    state = execute_plan.delay(
        plan(
            action("a", "test.value", inputs={"value": escaped}),
            action("b", "test.value", "a", inputs={"value": "${a.output}"}),
        )
    ).get(timeout=TIMEOUT)
    assert state.action_states["b"].result == Success(output=values)


def test_a_wide_level_is_published_in_parts(own: Site) -> None:
    """A level wider than ``part_size`` (here 50) is published in parts, and runs every action once."""
    width = 180
    wide = [action(f"a{n}", "test.add", "first", inputs={"a": n}) for n in range(width)]
    ids = [a["id"] for a in wide]
    total = {name: f"${{{name}.output}}" for name in ids}
    result = execute_plan.delay(plan(action("first"), *wide, action("last", "test.echo", *ids, inputs=total)))
    state = result.get(timeout=60)
    assert state.action_states["last"].result == Success(output={f"a{n}": n for n in range(width)})
    assert own.runs(result.id) == dict.fromkeys(["first", *ids, "last"], 1)

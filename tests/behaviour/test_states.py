"""1.2 and 1.4: what the state of an execution says, by itself and as JSON."""

from __future__ import annotations

import json
from typing import Any

from celery.result import AsyncResult

from tests.behaviour.endings import QUICK, Endings
from tests.workers import Site, action, plan
from workflow_state import (
    ExecutionState,
    Failure,
    Skipped,
    StateManager,
    Success,
    action_task_id,
    calculate_execution_metrics,
    extract_successful_results,
)

PLANS = {
    "mixed": plan(
        action("fetch", "test.flaky", inputs={"times": 1, "value": {"n": 2}}, retry=QUICK),
        action("slow", "behave.sleep", inputs={"seconds": 0.2}),
        action("skipped", "test.value", "fetch", condition={"if": "${fetch.output.n} > 5"}),
        action(
            "failed",
            "test.fail",
            "fetch",
            inputs={"message": "no paper", "retryable": False, "details": {"tray": 2}},
            error_handling={"continue_on_failure": True},
        ),
        action("last", "test.add", "fetch", "failed", inputs={"a": "${fetch.output.n}", "b": 1}),
        id="mixed",
        name="A bit of everything",
    ),
    "failed": plan(action("breaks", "test.fail", inputs={"retryable": False}), action("after", "test.value", "breaks")),
}


def test_every_action_has_a_tagged_result(ended: Endings) -> None:
    """``success {output}``, ``failure {error}`` or ``skipped {reason}``, by how the action ended."""
    results = {name: found.result for name, found in ended["mixed"].action_states.items()}
    assert results["last"] == Success(output=3)
    assert isinstance(results["failed"], Failure)
    assert isinstance(results["skipped"], Skipped)
    tags = {name: result.status for name, result in results.items() if result}
    assert tags == {
        "fetch": "success",
        "slow": "success",
        "skipped": "skipped",
        "failed": "failure",
        "last": "success",
    }


def test_an_error_has_its_details(ended: Endings) -> None:
    """Category, message, code, status code, retryable, context and suggestion, as the action gave them."""
    assert ended.error("mixed", "failed").model_dump(mode="json") == {
        "category": "action_failed",
        "message": "no paper",
        "code": "E42",
        "status_code": 503,
        "retryable": False,
        "retry_after": None,
        "context": {"tray": 2},
        "suggestion": "ask somebody",
    }


def test_times_and_durations(ended: Endings) -> None:
    """Start, end and duration in milliseconds, of each action that ran and of the execution; in order."""
    state = ended["mixed"]
    assert state.started_at is not None
    assert state.completed_at is not None
    for name in ("fetch", "slow", "failed", "last"):
        found = state.action_states[name]
        assert found.started_at is not None
        assert found.completed_at is not None
        assert state.started_at <= found.started_at <= found.completed_at <= state.completed_at
        assert found.duration == round((found.completed_at - found.started_at).total_seconds() * 1000)
    slow = ended.action("mixed", "slow").duration
    assert slow is not None
    assert slow >= 200
    assert ended.action("mixed", "skipped").started_at is None
    assert state.metrics.total_duration >= slow


def test_the_metrics_count(ended: Endings) -> None:
    """Total, completed, failed and skipped actions; the helpers of the original agree."""
    state = ended["mixed"]
    metrics = state.metrics
    assert (metrics.total_actions, metrics.completed_actions, metrics.failed_actions, metrics.skipped_actions) == (
        5,
        3,
        1,
        1,
    )
    analysed = calculate_execution_metrics(state)
    assert (analysed.attempts, analysed.retries, analysed.slowest_action_id) == (5, 1, "slow")
    assert extract_successful_results(state) == {"fetch": {"n": 2}, "slow": "slept", "last": 3}


def test_a_state_serialises_to_either_spelling(ended: Endings) -> None:
    """snake_case, or the original's camelCase ``by_alias``; either is read back as the same state."""
    state = ended["mixed"]
    camel = json.loads(state.model_dump_json(by_alias=True))
    assert {"planId", "startedAt", "actionStates", "completedAt", "metrics"} <= camel.keys()
    assert camel["actionStates"]["failed"]["result"]["error"]["statusCode"] == 503
    assert camel["metrics"]["totalActions"] == 5
    assert not {key for key in keys_of(without_data(camel)) if "_" in key}
    assert ExecutionState.model_validate(camel) == state
    assert ExecutionState.model_validate_json(state.model_dump_json()) == state


def keys_of(value: Any) -> set[str]:
    """Every key anywhere in a JSON value."""
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()


def without_data(camel: dict[str, Any]) -> dict[str, Any]:
    """A state without what belongs to users: outputs and the context of errors."""
    text = json.loads(json.dumps(camel))
    for found in text["actionStates"].values():
        found["result"].pop("output", None)
    return dict(text)


def test_tracebacks_are_kept_out_of_the_state(behaviour: Site, ended: Endings) -> None:
    """A state has none; that of a failed action is with its Celery result, where the worker put it."""
    state = ended["mixed"]
    assert "Traceback" not in state.model_dump_json()
    kept = AsyncResult(action_task_id(state.id, "failed"), app=behaviour.app).traceback
    assert kept.startswith("Traceback (most recent call last):")
    assert "no paper" in kept


def test_the_state_is_the_same_from_everywhere(behaviour: Site, ended: Endings) -> None:
    """What ``get()`` of the execution's Celery result holds is what the state manager reads, now and later."""
    state = ended["mixed"]
    stored = AsyncResult(state.id, app=behaviour.app).get(timeout=5)
    assert ExecutionState.model_validate(stored) == state
    assert StateManager().get_full_state(state.id) == state
    assert StateManager().get_action_result(state.id, "last") == Success(output=3)
    assert (state.plan_id, ended["failed"].plan_id) == ("mixed", "plan")


def test_nothing_is_available_at_the_end(ended: Endings) -> None:
    """An execution that has ended has no available actions."""
    manager = StateManager()
    assert [manager.get_available_actions(ended[name].id) for name in PLANS] == [[], []]


def test_the_version_grows(ended: Endings) -> None:
    """``version`` counts the changes of a state: more happened in the longer plan."""
    assert ended["mixed"].version > ended["failed"].version > 1

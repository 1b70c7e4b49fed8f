"""Batches on real workers: tiny actions share a message, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import uuid
from collections import Counter
from typing import Any

import pytest
from celery.result import AsyncResult

from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import ErrorCategory, PlanExecutionError, StateManager, Success, action_task_id, execute_plan

TIMEOUT = 30
ONCE = {"max_attempts": 1}
QUICK = {"max_attempts": 3, "min_timeout_in_ms": 10, "max_timeout_in_ms": 20}
BOTH = pytest.mark.parametrize("schedule", ["levels", "dataflow"])


def values(count: int, prefix: str = "v", *after: str, **fields: Any) -> list[dict[str, Any]]:
    """So many tiny actions."""
    return [action(f"{prefix}{n}", "test.value", *after, inputs={"value": n}, **fields) for n in range(count)]


@BOTH
def test_a_batch_is_one_message_for_many_actions(fresh: Site, schedule: str) -> None:
    """Twenty actions of one definition and queue in batches of eight are three messages; one that has a timeout,
    one of another definition and one of another queue have their own. Each has its record and its Celery result,
    and those after it read them.
    """
    queue = uuid.uuid4().hex
    actions = [
        *values(20, queue=queue),
        action("timed", "test.value", timeout=20_000, queue=queue),
        action("other", "test.echo", queue=queue, inputs={"said": "hello"}),
        *values(3, "last", "v3", "v19"),
        action(
            "sum", "test.echo", *(f"v{n}" for n in range(20)), inputs={"of": [f"${{v{n}.output}}" for n in range(20)]}
        ),
    ]
    result = execute_plan.delay(plan(*actions, batch_size=8, schedule=schedule))
    fresh.start_worker()
    wait_until(lambda: fresh.redis.llen(queue) == 5, TIMEOUT, "five messages are sent")
    kinds = Counter(json.loads(text)["headers"]["task"] for text in fresh.redis.lrange(queue, 0, -1))
    assert kinds == {"workflow_state.execute_batch": 3, "workflow_state.execute_action": 2}
    fresh.app.control.add_consumer(queue, destination=[fresh.workers[0].address], reply=True)
    state = result.get(timeout=TIMEOUT)
    assert state.status == "completed"
    assert state.action_states["sum"].result == Success(output={"of": list(range(20))})
    assert set(fresh.runs(result.id).values()) == {1}
    assert len(fresh.runs(result.id)) == len(actions)
    found = [AsyncResult(action_task_id(result.id, f"v{n}"), app=fresh.app) for n in range(20)]
    assert [(one.state, one.result) for one in found] == [("SUCCESS", n) for n in range(20)]
    wait_until(lambda: not fresh.lasting_keys(), TIMEOUT, "the plan is closed")


@BOTH
def test_each_fails_and_is_tried_again_alone(own: Site, schedule: str) -> None:
    """Of one batch, one action fails twice and then succeeds, one fails for good and is tolerated, one falls back;
    the others run once.
    """
    wanted = plan(
        *values(3),
        action("flaky", "test.flaky", inputs={"times": 2}, retry=QUICK),
        action("flaky2", "test.flaky", inputs={"times": 1}, retry=QUICK),
        action("bad", "test.fail", retry=ONCE, error_handling={"continue_on_failure": True}),
        action("saved", "test.fail", retry=ONCE, error_handling={"fallback_value": "saved"}),
        action("end", "test.echo", "flaky", "bad", inputs={"got": "${flaky.output}", "error": "${bad.error.message}"}),
        batch_size=10,
        schedule=schedule,
    )
    state = execute_plan.delay(wanted).get(timeout=TIMEOUT)
    found = {name: (one.status.value, one.attempts) for name, one in state.action_states.items()}
    assert found == {
        **{f"v{n}": ("completed", 1) for n in range(3)},
        "flaky": ("completed", 3),
        "flaky2": ("completed", 2),
        "bad": ("failed", 1),
        "saved": ("completed", 1),
        "end": ("completed", 1),
    }
    assert state.action_states["end"].result == Success(output={"got": "done", "error": "refused"})
    assert [attempt.outcome for attempt in state.action_states["flaky"].trace] == ["failed", "failed", "completed"]


def test_a_failure_halts_the_plan_after_its_batch(own: Site) -> None:
    """What has begun with it ends, nothing new starts, and the error names the action."""
    tiny = [action(f"v{n}", "test.flaky", inputs={"times": 0}) for n in range(2)]
    bad = action("bad", "test.flaky", inputs={"times": 1}, retry=ONCE)
    wanted = plan(bad, *tiny, *values(2, "after", "v0", "v1"), batch_size=5)
    result = execute_plan.delay(wanted)
    with pytest.raises(PlanExecutionError, match="attempt 1 of 1"):
        result.get(timeout=TIMEOUT)
    state = StateManager().get_full_state(result.id)
    assert {name: one.status.value for name, one in state.action_states.items()} == {
        "bad": "failed",
        "v0": "completed",
        "v1": "completed",
        "after0": "skipped",
        "after1": "skipped",
    }


def at_gates(count: int, schedule: str) -> dict[str, Any]:
    """A plan of one batch of actions that each wait at a gate of their own."""
    gates = [uuid.uuid4().hex for _ in range(count)]
    held = [action(f"g{n}", "test.gate", inputs={"name": gate}) for n, gate in enumerate(gates)]
    return plan(*held, batch_size=count, schedule=schedule)


def wait_recorded(site: Site, execution_id: str, name: str) -> None:
    """Wait until an action has ended, as anybody sees it."""
    ended = lambda: StateManager(site.app).get_full_state(execution_id).action_states[name].status == "completed"  # noqa: E731
    wait_until(ended, TIMEOUT, f"{name} has ended")


@BOTH
def test_a_worker_killed_in_a_batch(fresh: Site, schedule: str) -> None:
    """SIGKILL in the third of four actions: the two that were recorded stay, the other two run again, each as its
    second attempt, and the plan completes.
    """
    wanted = at_gates(4, schedule)
    gates = [one["inputs"]["name"] for one in wanted["actions"]]
    fresh.start_worker()
    result = execute_plan.delay(wanted)
    for n in range(2):
        fresh.wait_started(gates[n])
        # Longer than results are kept back.
        fresh.redis.blpop(["nothing"], timeout=0.3)
        fresh.open_gate(gates[n])
    (pid,) = fresh.wait_started(gates[2])
    wait_recorded(fresh, result.id, "g1")
    before = StateManager().get_full_state(result.id)
    os.kill(pid, signal.SIGKILL)
    for n in (2, 3):
        fresh.open_gate(gates[n], times=2)
    state = result.get(timeout=TIMEOUT)
    assert state.status == "completed"
    assert [state.action_states[f"g{n}"].attempts for n in range(4)] == [1, 1, 2, 2]
    assert fresh.runs(result.id) == {"g0": 1, "g1": 1, "g2": 2, "g3": 1}
    for name in ("g0", "g1"):
        assert state.action_states[name] == before.action_states[name]
    assert [attempt.outcome for attempt in state.action_states["g3"].trace] == ["lost", "completed"]


def test_cancel_is_seen_between_two_actions(own: Site) -> None:
    """What was done is kept; what had not had its turn does not run."""
    wanted = at_gates(4, "levels")
    gates = [one["inputs"]["name"] for one in wanted["actions"]]
    result = execute_plan.delay(wanted)
    own.wait_started(gates[0])
    own.redis.blpop(["nothing"], timeout=0.3)
    StateManager().cancel_execution(result.id, "enough")
    own.open_gate(gates[0])
    with pytest.raises(PlanExecutionError):
        result.get(timeout=TIMEOUT)
    state = StateManager().get_full_state(result.id)
    assert state.status == "cancelled"
    assert state.action_states["g0"].status == "completed"
    for name in ("g1", "g2", "g3"):
        error = state.action_states[name].error
        assert error is not None
        assert error.category == ErrorCategory.USER_CANCELLED
    assert own.runs(result.id) == {"g0": 1}


def test_leases_of_a_whole_batch_are_renewed(own: Site) -> None:
    """A batch that takes longer than the lease keeps the lease of each of its actions: all run once."""
    wanted = at_gates(3, "levels")
    gates = [one["inputs"]["name"] for one in wanted["actions"]]
    result = execute_plan.delay(wanted)
    own.wait_started(gates[0])
    # The app's lease is 2 s.
    own.redis.blpop(["nothing"], timeout=3.5)
    for gate in gates:
        own.open_gate(gate)
    state = result.get(timeout=TIMEOUT)
    assert [one.attempts for one in state.action_states.values()] == [1, 1, 1]
    assert own.runs(result.id) == {"g0": 1, "g1": 1, "g2": 1}


def test_a_second_copy_of_a_batch_is_dropped(own: Site) -> None:
    """The same message again, while the batch runs and after it, runs nothing."""
    wanted = at_gates(2, "levels")
    gates = [one["inputs"]["name"] for one in wanted["actions"]]
    result = execute_plan.delay(wanted)
    own.wait_started(gates[0])

    def send_again() -> None:
        own.app.send_task("workflow_state.execute_batch", (result.id, ["g0", "g1", "unknown"]))

    send_again()
    wait_until(lambda: not own.redis.llen(own.queue) and own.redis.hlen("unacked") == 1, TIMEOUT, "the copy is handled")
    for gate in gates:
        own.open_gate(gate)
    state = result.get(timeout=TIMEOUT)
    send_again()
    own.app.send_task("workflow_state.execute_batch", ("nowhere", ["g0"]))
    wait_until(lambda: not own.redis.llen(own.queue) and not own.redis.hlen("unacked"), TIMEOUT, "all are handled")
    assert StateManager().get_full_state(result.id) == state
    assert own.runs(result.id) == {"g0": 1, "g1": 1}

"""Plans run under whatever Celery settings a user has, and on every kind of worker pool."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from celery import chain
from celery.result import AsyncResult

from tests.integration.apps import annotated_app
from tests.integration.outcomes import ONCE, QUICK, TIMEOUT, output, run
from tests.support import wait_until
from tests.workers import EFFECTS, Site, action, plan
from workflow_state import (
    ErrorCategory,
    PlanExecutionError,
    StateManager,
    Success,
    action_task_id,
    execute_plan,
)

MIXED = plan(
    action("one", "test.add", inputs={"a": 1, "b": 1}),
    action("later", "test.async", inputs={"a": 1, "b": 2}),
    action("flaky", "test.flaky", "one", inputs={"times": 1, "value": 5}, retry=QUICK),
    action(
        "sum", "test.echo", "flaky", "later", inputs={"all": ["${one.output}", "${later.output}", "${flaky.output}"]}
    ),
)


@pytest.mark.parametrize("chosen", ["yaml", "pickle"])
def test_messages_are_json_whatever_an_apps_other_tasks_use(fresh: Site, chosen: str) -> None:
    """With another ``task_serializer`` a plan runs all the same, alone and in a chain, on a worker that takes only
    JSON.
    """
    fresh.settings(task_serializer=chosen, accept_content=["json"])
    fresh.start_worker()
    assert execute_plan.delay(MIXED).get(timeout=TIMEOUT).status == "completed"
    last = chain(execute_plan.s(MIXED), execute_plan.si(MIXED)).apply_async()
    assert execute_plan.AsyncResult(last.id).get(timeout=TIMEOUT).status == "completed"


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_other_pools(fresh: Site, pool: str) -> None:
    """A worker with threads, or with no pool at all, runs plans as one with processes does."""
    fresh.start_worker("--pool", pool)
    state = execute_plan.delay(MIXED).get(timeout=TIMEOUT)
    assert output(state, "sum") == {"all": [2, 3, 5]}
    assert fresh.runs(state.id) == {"one": 1, "later": 1, "flaky": 2, "sum": 1}


def test_a_long_action_in_a_thread_keeps_its_lease(fresh: Site) -> None:
    """Heartbeats go on beside an action that runs in a thread of the worker, for each of several at once."""
    gate = uuid.uuid4().hex
    fresh.settings(workflow_state={"lease": 1})
    fresh.start_worker("--pool", "threads", concurrency=3)
    held = [action(f"a{n}", "test.gate", inputs={"name": gate}) for n in range(3)]
    result = execute_plan.delay(plan(*held))
    fresh.wait_started(gate, 3)
    deadlines = f"{fresh.prefix}:deadlines"

    def renewed() -> bool:
        state = StateManager().get_full_state(result.id)
        leases = [fresh.redis.zscore(deadlines, f"{result.id}|a{n}") for n in range(3)]
        began = [a.started_at for a in state.action_states.values()]
        return all(
            lease and start and lease > start.timestamp() * 1000 + 3000
            for lease, start in zip(leases, began, strict=True)
        )

    wait_until(renewed, TIMEOUT, "all three leases were renewed beyond twice their length")
    fresh.open_gate(gate, 3)
    state = result.get(timeout=TIMEOUT)
    assert fresh.runs(state.id) == {"a0": 1, "a1": 1, "a2": 1}


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_an_action_that_panics_stops_no_pool(fresh: Site, pool: str) -> None:
    """What is raised and is no ``Exception`` fails its action alone: the same worker process runs the next plan."""
    worker = fresh.start_worker("--pool", pool, concurrency=1)
    state = run(plan(action("a", "test.odd_error", inputs={"kind": "panic"}, retry=ONCE)))
    error = state.action_states["a"].error
    assert error is not None
    assert error.message == "PanicError: an extension gave up"
    assert output(execute_plan.delay(MIXED).get(timeout=TIMEOUT), "sum") == {"all": [2, 3, 5]}
    assert worker.process.poll() is None


#: Settings that users have for tasks of their own, each of which could do harm to ours.
HARSH: dict[str, Any] = {
    "task_track_started": True,
    "task_ignore_result": True,
    "task_store_errors_even_if_ignored": True,
    "task_acks_late": False,
    "task_reject_on_worker_lost": False,
    "task_acks_on_failure_or_timeout": False,
    "result_extended": True,
    "task_send_sent_event": True,
    "worker_prefetch_multiplier": 16,
    "task_inherit_parent_priority": True,
    "task_default_priority": 5,
    "result_backend_always_retry": False,
    "task_remote_tracebacks": True,
    "task_annotations": {
        "*": {
            "max_retries": 0,
            "ignore_result": True,
            "acks_late": False,
            "reject_on_worker_lost": False,
            "track_started": True,
            "store_errors_even_if_ignored": True,
        }
    },
}


def test_settings_that_could_do_harm(fresh: Site) -> None:
    """Under settings that suit other tasks and not ours, a plan completes, its result and those of its
    actions can be read, a failed one is a failure, and repeated messages change nothing.
    """
    fresh.settings(**HARSH)
    fresh.app.conf.update(HARSH)
    fresh.start_worker()
    result = execute_plan.delay(MIXED)
    state = result.get(timeout=TIMEOUT)
    assert output(state, "sum") == {"all": [2, 3, 5]}
    assert AsyncResult(action_task_id(state.id, "one"), app=fresh.app).get(timeout=1) == 2

    wanted = plan(action("a", "test.fail", retry=ONCE))
    failing = execute_plan.delay(wanted)
    with pytest.raises(PlanExecutionError):
        failing.get(timeout=TIMEOUT)
    wait_until(lambda: fresh.fields(failing.id).get("closed"), TIMEOUT)
    execute_plan.apply_async((wanted,), task_id=failing.id)
    fresh.app.send_task("workflow_state.finish", (failing.id,), task_id=failing.id)
    fresh.app.send_task("workflow_state.execute_action", (failing.id, "a"), task_id=action_task_id(failing.id, "a"))
    wait_until(lambda: not fresh.redis.llen(fresh.queue) and not fresh.redis.hlen("unacked"), TIMEOUT)
    assert execute_plan.AsyncResult(failing.id).state == "FAILURE"
    assert AsyncResult(action_task_id(failing.id, "a"), app=fresh.app).state == "FAILURE"


def test_a_death_under_harsh_settings(fresh: Site) -> None:
    """An action whose process dies shows no failure meanwhile, and completes, whatever the settings say."""
    fresh.settings(**HARSH)
    fresh.start_worker()
    result = execute_plan.delay(plan(action("a", "test.fatal", inputs={"times": 1})))
    task = AsyncResult(action_task_id(result.id, "a"), app=fresh.app)
    seen: set[str] = set()

    def completed() -> bool:
        seen.add(task.state)
        return StateManager().get_full_state(result.id).status.ended if fresh.fields(result.id) else False

    wait_until(completed, TIMEOUT)
    assert StateManager().get_full_state(result.id).action_states["a"].result == Success(output=2)
    assert seen <= {"PENDING", "STARTED", "SUCCESS"}
    assert result.get(timeout=TIMEOUT).status == "completed"


@pytest.mark.parametrize("limit", ["task_soft_time_limit", "task_time_limit"])
def test_a_time_limit_of_the_app(fresh: Site, limit: str) -> None:
    """A limit that the app has for all of its tasks is a timeout of the action, and says so in words."""
    fresh.settings(**{limit: 1})
    fresh.start_worker()
    gate = uuid.uuid4().hex
    with pytest.raises(PlanExecutionError, match="longer than") as failed:
        execute_plan.delay(plan(action("a", "test.gate", inputs={"name": gate}, retry=ONCE))).get(timeout=TIMEOUT)
    assert "None" not in str(failed.value)
    error = StateManager().get_full_state(failed.value.execution_id).action_states["a"].error
    assert error is not None
    assert error.category == ErrorCategory.NETWORK_TIMEOUT


def test_hooks_of_the_app(fresh: Site) -> None:
    """Functions that an app has for the end of all of its tasks are called, and the engine's own are, too: an attempt
    over the hard time limit is a timeout and no lost worker, and the execution is closed.
    """
    fresh.module = annotated_app.__name__
    fresh.settings(task_time_limit=1, workflow_state={"lease": 20})
    fresh.start_worker()
    state = run(plan(action("a", "test.gate", inputs={"name": uuid.uuid4().hex}, retry=ONCE)))
    error = state.action_states["a"].error
    assert error is not None
    assert error.category == ErrorCategory.NETWORK_TIMEOUT
    wait_until(lambda: fresh.fields(state.id).get("closed"), TIMEOUT)
    assert "workflow_state.execute_action TimeLimitExceeded" in fresh.notes("failed")
    wait_until(lambda: "workflow_state.finish FAILURE" in fresh.notes("returned"), TIMEOUT)
    fresh.redis.delete(f"{EFFECTS}:failed", f"{EFFECTS}:returned")


def test_routes_of_the_app(fresh: Site) -> None:
    """``task_routes`` send actions to a queue of their own; the engine's own tasks stay where they are."""
    fresh.settings(task_routes={"workflow_state.execute_action": {"queue": "heavy"}})
    fresh.start_worker()
    result = execute_plan.delay(plan(action("a", "test.value", inputs={"value": 1})))
    wait_until(lambda: fresh.redis.llen("heavy"), TIMEOUT, "the action is in its queue")
    assert fresh.redis.llen(fresh.queue) == 0
    fresh.start_worker("--queues", "heavy")
    assert output(result.get(timeout=TIMEOUT), "a") == 1


def test_prefixes_of_the_app(fresh: Site) -> None:
    """Key prefixes of the broker and of the result backend are used for all that is theirs."""
    transport = {"global_keyprefix": "mine:"}
    fresh.settings(broker_transport_options=transport, result_backend_transport_options=transport)
    fresh.app.conf.broker_transport_options = {**fresh.app.conf.broker_transport_options, **transport}
    fresh.app.conf.result_backend_transport_options = transport
    fresh.start_worker()
    result = execute_plan.delay(MIXED)
    assert output(result.get(timeout=TIMEOUT), "sum") == {"all": [2, 3, 5]}
    wait_until(lambda: fresh.fields(result.id).get("closed"), TIMEOUT)
    strangers = {key for key in fresh.all_keys() if not key.startswith(("mine:", f"{fresh.prefix}:"))}
    assert strangers == set()
    fresh.redis.delete(*(key for key in fresh.all_keys() if key.startswith("mine:_kombu")))

"""What the engine survives: dead processes, dead workers, lost and repeated messages, zombies, restarts.

The app's lease is 2 s and its sweepers look every 0.5 s, so what a dead process held comes back within 3 s.
The broker's visibility timeout is the default hour, where no test says otherwise: nothing here may hang on it.
Deaths between any two steps of the engine, and storms of them, are in ``tests/chaos``.
"""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from celery.result import AsyncResult

from tests.integration.apps.own_app import make_app
from tests.support import alive, wait_until
from tests.workers import Site, action, plan
from workflow_state import (
    ErrorCategory,
    ExecutionState,
    PlanExecutionError,
    StateManager,
    Success,
    action_task_id,
    execute_plan,
    validate_execution_plan,
)
from workflow_state.embedded import EmbeddedServer
from workflow_state.runtime.engine import engine_of

TIMEOUT = 30
LEASE = 2.0


def gated(gate: str) -> dict[str, Any]:
    """A plan whose middle action waits at a gate."""
    return plan(
        action("before", "test.value", inputs={"value": 1}),
        action("held", "test.gate", "before", inputs={"name": gate}),
        action("after", "test.value", "held", inputs={"value": "${held.output}"}),
    )


@pytest.fixture
def gate() -> str:
    """A gate of this test's own."""
    return uuid.uuid4().hex


def record(site: Site, execution_id: str, name: str) -> dict[str, Any]:
    """An action's record as it is stored."""
    text = site.redis.hget(f"{site.prefix}:{{{execution_id}}}:actions", name)
    return dict(json.loads(text)) if text else {}


def assert_ran_again_once(site: Site, state: ExecutionState, gate: str) -> None:
    """The held action was lost once and ran twice; everything else ran once; there is one result of each."""
    assert state.status == "completed"
    held = state.action_states["held"]
    assert [a.outcome for a in held.trace] == ["lost", "completed"]
    assert held.result == Success(output=gate)
    assert site.runs(state.id) == {"before": 1, "held": 2, "after": 1}
    task_id = action_task_id(state.id, "held")
    assert AsyncResult(task_id, app=site.app).get(timeout=1) == gate


def test_kill_9_of_a_pool_process_in_the_middle_of_an_action(fresh: Site, gate: str) -> None:
    """The action runs again when its lease has ended, seconds later; the plan completes with one result."""
    fresh.start_worker()
    result = execute_plan.delay(gated(gate))
    (pid,) = fresh.wait_started(gate)
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    fresh.wait_started(gate, 2)
    assert time.monotonic() - killed < LEASE + 3
    fresh.open_gate(gate)
    assert_ran_again_once(fresh, result.get(timeout=TIMEOUT), gate)


def test_kill_9_of_a_whole_worker_and_start_of_a_new_one(fresh: Site, gate: str) -> None:
    """A new worker goes on where the dead one stopped: nothing is lost, what was done is not done again."""
    dead = fresh.start_worker()
    result = execute_plan.delay(gated(gate))
    (pid,) = fresh.wait_started(gate)
    dead.kill()
    wait_until(lambda: not alive(pid))
    assert StateManager().get_full_state(result.id).action_states["held"].status == "running"
    fresh.start_worker()
    fresh.wait_started(gate, 2)
    fresh.open_gate(gate)
    state = result.get(timeout=TIMEOUT)
    assert_ran_again_once(fresh, state, gate)
    first, second = state.action_states["held"].trace
    assert first.worker.split("@")[0] == dead.name
    assert second.worker.split("@")[0] == fresh.workers[1].name


def test_another_worker_takes_over(fresh: Site, gate: str) -> None:
    """With two workers, one of them killed: the other runs its action, nobody has to start anything."""
    workers = {w.name: w for w in (fresh.start_worker(concurrency=1), fresh.start_worker(concurrency=1))}
    result = execute_plan.delay(gated(gate))
    fresh.wait_started(gate)
    owner = record(fresh, result.id, "held")["worker"].split("@")[0]
    workers.pop(owner).kill()
    fresh.wait_started(gate, 2)
    fresh.open_gate(gate)
    assert_ran_again_once(fresh, result.get(timeout=TIMEOUT), gate)


def test_a_warm_shutdown_loses_nothing(fresh: Site, gate: str) -> None:
    """SIGTERM lets the running action end and be recorded; the next worker goes on behind it."""
    first = fresh.start_worker()
    result = execute_plan.delay(gated(gate))
    fresh.wait_started(gate)
    first.process.terminate()
    wait_until(lambda: "Warm shutdown" in first.output)
    fresh.open_gate(gate)
    wait_until(lambda: first.process.poll() is not None, TIMEOUT, "the worker has ended")
    assert record(fresh, result.id, "held")["status"] == "completed"
    first.stop()
    fresh.start_worker()
    state = result.get(timeout=TIMEOUT)
    assert fresh.runs(state.id) == {"before": 1, "held": 1, "after": 1}


@pytest.mark.slow
def test_an_action_that_kills_its_process_every_time(fresh: Site) -> None:
    """A poison action takes down at most ``max_lost`` (3) processes, then it fails with ``worker_lost``, also
    when its retry policy would allow more; an action beside it is not harmed.
    """
    worker = fresh.start_worker()
    result = execute_plan.delay(
        plan(action("poison", "test.fatal", retry={"max_attempts": 50}), action("other", "test.value"))
    )
    with pytest.raises(PlanExecutionError, match="3 workers were lost while they ran this action"):
        result.get(timeout=TIMEOUT)
    poison = StateManager().get_full_state(result.id).action_states["poison"]
    assert [a.outcome for a in poison.trace] == ["lost", "lost", "lost", "failed"]
    assert poison.error is not None
    assert poison.error.category == ErrorCategory.WORKER_LOST
    assert fresh.runs(result.id) == {"poison": 3, "other": 1}
    assert worker.process.poll() is None


def test_a_lost_attempt_is_not_held_against_the_action(fresh: Site) -> None:
    """With one attempt allowed, an attempt that died with its process is still made again."""
    fresh.start_worker()
    result = execute_plan.delay(plan(action("a", "test.fatal", inputs={"times": 1}, retry={"max_attempts": 1})))
    state = result.get(timeout=TIMEOUT)
    assert state.action_states["a"].result == Success(output=2)
    assert [a.outcome for a in state.action_states["a"].trace] == ["lost", "completed"]


def test_an_action_longer_than_its_lease_runs_once(own: Site, gate: str) -> None:
    """Heartbeats keep the lease of a long action alive: nobody else starts it."""
    result = execute_plan.delay(gated(gate))
    own.wait_started(gate)

    def outlived_two_leases() -> bool:
        found = record(own, result.id, "held")
        return bool(found["lease"] - found["started_at"] > 3.2 * LEASE * 1000)

    wait_until(outlived_two_leases, TIMEOUT, "the lease was renewed beyond twice its length")
    own.open_gate(gate)
    state = result.get(timeout=TIMEOUT)
    assert own.runs(state.id) == {"before": 1, "held": 1, "after": 1}
    assert state.action_states["held"].attempts == 1
    assert state.action_states["held"].duration > 2 * LEASE * 1000


def test_a_zombie_cannot_write_its_result(fresh: Site, gate: str) -> None:
    """A process that was paused beyond its lease and wakes up later finds that it lost the action: what it
    says is refused by the fencing token, and the result of the one that took over stands.
    """
    worker = fresh.start_worker()
    result = execute_plan.delay(gated(gate))
    (zombie,) = fresh.wait_started(gate)
    os.kill(zombie, signal.SIGSTOP)
    try:
        fresh.wait_started(gate, 2)
        fresh.open_gate(gate, 2)
        state = result.get(timeout=TIMEOUT)
    finally:
        os.kill(zombie, signal.SIGCONT)
    wait_until(lambda: "result refused: the lease went to another" in worker.output, TIMEOUT)
    assert_ran_again_once(fresh, state, gate)
    assert StateManager().get_full_state(result.id) == state


def test_repeated_messages_have_no_effect(own: Site, gate: str) -> None:
    """Every message of the engine, sent again by hand while the plan runs and after its end, under the same
    task id and under another, changes nothing: not the state, not its version, not a side effect.
    """
    result = execute_plan.delay(gated(gate))
    own.wait_started(gate)
    before = StateManager().get_full_state(result.id)

    def send_all_again() -> None:
        for task_id in (None, result.id):
            own.app.send_task("workflow_state.finish", (result.id,), task_id=task_id)
            own.app.send_task("workflow_state.advance", (result.id,), task_id=task_id)
            own.app.send_task("workflow_state.advance", (result.id, 1, 0), task_id=task_id)
        execute_plan.apply_async((gated(gate),), task_id=result.id)
        for name in ("before", "held", "after"):
            for attempt in (1, 2, 7):
                for task_id in (None, action_task_id(result.id, name)):
                    own.app.send_task("workflow_state.execute_action", (result.id, name, attempt), task_id=task_id)

    def handled_but(left: int) -> bool:
        return not own.redis.llen(own.queue) and own.redis.hlen("unacked") == left

    send_all_again()
    # One message stays unacknowledged: that of the action at the gate.
    wait_until(lambda: handled_but(1), TIMEOUT, "every repeated message is handled")
    assert StateManager().get_full_state(result.id) == before
    own.open_gate(gate)
    state = result.get(timeout=TIMEOUT)
    wait_until(lambda: own.fields(result.id).get("closed"), TIMEOUT, "the execution is closed")
    send_all_again()
    wait_until(lambda: handled_but(0), TIMEOUT, "every repeated message is handled")
    assert StateManager().get_full_state(result.id) == state
    assert result.get(timeout=1) == state
    assert own.runs(result.id) == {"before": 1, "held": 1, "after": 1}


def test_a_lost_message_is_sent_again(own: Site, gate: str) -> None:
    """Messages of a level that vanish with their queue, before any worker saw them, are sent again."""
    queue = gate
    first = {"queue": queue, "inputs": {"value": 1}}
    result = execute_plan.delay(
        plan(*(action(f"a{n}", "test.value", **first) for n in range(3)), action("b", "test.value", "a1"))
    )
    wait_until(lambda: own.redis.llen(queue) >= 3, TIMEOUT, "the level is published")
    own.redis.delete(queue)
    worker = own.workers[0].address
    own.app.control.add_consumer(queue, destination=[worker], reply=True)
    try:
        state = result.get(timeout=TIMEOUT)
    finally:
        own.app.control.cancel_consumer(queue, destination=[worker], reply=True)
    assert state.status == "completed"
    assert own.runs(result.id) == {"a0": 1, "a1": 1, "a2": 1, "b": 1}


@pytest.mark.usefixtures("both_schedules")
def test_a_message_that_ends_what_the_server_has_lost_ends_nothing(own: Site) -> None:
    """A server that lost its last second, or the replica that took its place, may know of an execution as it was
    before anything ran, while the message that was to end it is in a worker's hands: it is not ``completed`` by that
    message, its actions run. One that was not even started is not changed.
    """
    engine, steps = engine_of(own.app), plan(action("a"), action("b", "test.echo", "a"))
    for started in (True, False):
        name = str(uuid.uuid4())
        engine.accept(validate_execution_plan(steps), name, {}, started=started)
        before, created = StateManager().get_full_state(name), engine.store.created(name)
        engine.publish_finish(name, created, "steps", "{}")
        if not started:
            handled = f"workflow_state.finish[{name}] ignored"
            wait_until(lambda text=handled: any(text in w.output for w in own.workers), TIMEOUT, "it was handled")
            assert StateManager().get_full_state(name) == before
            assert engine.store.start(name, 1000)
            engine.advance(name)
        state = StateManager().wait(name, TIMEOUT)
        assert (state.status, own.runs(name)) == ("completed", {"a": 1, "b": 1})


def test_a_second_copy_of_a_running_action_is_dropped(fresh: Site, gate: str) -> None:
    """An action that runs longer than the broker's visibility timeout is delivered a second time: that copy
    is dropped, the action runs once.
    """
    fresh.settings(broker_transport_options={"visibility_timeout": 1})
    worker = fresh.start_worker()
    result = execute_plan.delay(gated(gate))
    fresh.wait_started(gate)
    received = f"/held[{action_task_id(result.id, 'held')}] received"
    wait_until(lambda: worker.output.count(received) >= 2, TIMEOUT, "a second copy was delivered")
    wait_until(lambda: "ignored" in worker.output.split(received)[2], TIMEOUT, "the copy was dropped")
    fresh.open_gate(gate)
    state = result.get(timeout=TIMEOUT)
    assert (state.status, state.action_states["held"].attempts) == ("completed", 1)
    assert fresh.runs(result.id) == {"before": 1, "held": 1, "after": 1}


def test_a_plan_that_no_worker_has_accepted_comes_back(fresh: Site, gate: str) -> None:
    """A worker killed between taking a plan's message and accepting it: the plan is with the broker alone, and
    starts when its visibility timeout has passed (here 1 s; an hour by default).
    """
    fresh.settings(broker_transport_options={"visibility_timeout": 1})
    dead = fresh.start_worker(concurrency=1)
    fresh.open_gate(gate)
    execute_plan.delay(gated(gate)).get(timeout=TIMEOUT)
    (only,) = fresh.wait_started(gate)
    wait_until(lambda: not fresh.lasting_keys(), TIMEOUT, "the first plan is closed and its messages are gone")
    os.kill(only, signal.SIGSTOP)
    waiting = execute_plan.delay(plan(action("a")))
    wait_until(lambda: waiting.id in dead.output, TIMEOUT, "the worker has the message")
    dead.kill()
    assert fresh.fields(waiting.id) == {}
    fresh.start_worker()
    assert waiting.get(timeout=TIMEOUT).status == "completed"


@pytest.mark.slow
def test_a_server_that_restarts_with_aof(tmp_path: Path) -> None:
    """Redis restarts, with its append-only file, while an action runs: the run goes on and completes. A
    worker that does not survive it (Celery's main process may end) is replaced, as a supervisor would.
    """
    gate = uuid.uuid4().hex
    with EmbeddedServer(data_dir=tmp_path / "data", settings={"appendfsync": "always"}) as server:
        site = Site(make_app(), "tests.integration.apps.own_app", server.url, tmp_path)
        try:
            with site.current():
                worker = site.start_worker()
                result = execute_plan.delay(gated(gate))
                site.wait_started(gate)
                server.restart()
                site.open_gate(gate, 3)

                def ended() -> bool:
                    if site.workers[-1].process.poll() is not None:
                        site.start_worker()
                    return StateManager().get_full_state(result.id).status.ended

                wait_until(ended, 60, "the run has ended")
                state = StateManager().get_full_state(result.id)
                assert state.status == "completed", worker.tail()
                runs = site.runs(result.id)
                assert (runs["before"], runs["after"]) == (1, 1)
                assert runs["held"] <= 3
        finally:
            site.close()

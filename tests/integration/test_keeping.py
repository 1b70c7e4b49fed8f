"""How long executions are kept: deleting, retention, and an end for what its caller has left behind."""

from __future__ import annotations

import gc
import json
import re
import uuid
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from tests.integration.outcomes import ONCE, TIMEOUT, statuses
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import (
    ExecutionNotFoundError,
    InvalidTransitionError,
    PlanExecutionError,
    StateManager,
    action_task_id,
    execute_plan,
)
from workflow_state.models import ActionStatus
from workflow_state.runtime.engine import HELD_BACK_MS, engine_of
from workflow_state.store.closing import ask_to_delete
from workflow_state.store.keys import deadline_member


def task_keys(execution_id: str, *names: str) -> set[str]:
    """Celery's keys for the results of an execution and of its actions."""
    ids = (execution_id, *(action_task_id(execution_id, name) for name in names))
    return {f"celery-task-meta-{task_id}" for task_id in ids}


def keys_of(site: Site, execution_id: str, *names: str) -> set[str]:
    """Every key there is that belongs to an execution."""
    own = task_keys(execution_id, *names)
    return {key for key in site.all_keys() if f"{{{execution_id}}}" in key or key in own}


def is_listed(execution_id: str) -> bool:
    return any(found.id == execution_id for found in StateManager().list_executions(limit=1000).items)


def look_now(site: Site, execution_id: str) -> None:
    """Have the sweeper look at an execution at once."""
    deadlines = engine_of(site.app).store.keys.deadlines
    assert site.redis.zscore(deadlines, deadline_member(execution_id)) is not None
    site.redis.zadd(deadlines, {deadline_member(execution_id): 0})


def broken_plan() -> dict[str, Any]:
    """``a`` completes, ``b`` fails, ``c`` never runs."""
    return plan(action("a", "test.value"), action("b", "test.fail", "a", retry=ONCE), action("c", "test.value", "b"))


def test_delete_leaves_nothing(site: Site) -> None:
    """Records, history, the results of Celery and the place in the index are gone, right after the result was read;
    for every reader it is as if it had never been.
    """
    manager = StateManager()
    result = execute_plan.delay(broken_plan())
    with suppress(PlanExecutionError):
        result.get(timeout=TIMEOUT)
    assert task_keys(result.id, "a", "b", "c") < keys_of(site, result.id, "a", "b", "c")
    assert is_listed(result.id)
    assert manager.delete(result.id) is True
    assert keys_of(site, result.id, "a", "b", "c") == set()
    assert not is_listed(result.id)
    for read in (manager.get_full_state, manager.history, manager.delete, manager.iter_action_states):
        with pytest.raises(ExecutionNotFoundError):
            read(result.id)


def test_only_an_ended_execution_is_deleted(own: Site) -> None:
    """One that runs is refused with what to do, and not changed; cancelled and ended it can go."""
    gate, manager = uuid.uuid4().hex, StateManager()
    result = execute_plan.delay(plan(action("a", "test.gate", inputs={"name": gate})))
    own.wait_started(gate)
    before = manager.get_full_state(result.id)
    with pytest.raises(InvalidTransitionError, match=r"is running.*cancel it first"):
        manager.delete(result.id)
    assert manager.get_full_state(result.id) == before
    manager.cancel_execution(result.id)
    own.open_gate(gate)
    manager.wait(result.id, TIMEOUT)
    assert manager.delete(result.id)
    assert keys_of(own, result.id, "a") == set()


def test_an_end_that_no_worker_has_carried_out_yet(fresh: Site) -> None:
    """Its result is stored and told to who waits for it all the same: the worker that does so deletes it then."""
    manager = StateManager()
    state = manager.initialize_state(plan(action("a")))
    manager.cancel_execution(state.id)
    assert manager.delete(state.id) is False
    assert manager.get_full_state(state.id).status == "cancelled"
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(execute_plan.AsyncResult(state.id).get, timeout=TIMEOUT)
        (channel,) = task_keys(state.id)
        wait_until(lambda: fresh.redis.pubsub_numsub(channel)[0][1] == 1)
        fresh.start_worker()
        with pytest.raises(PlanExecutionError, match="was cancelled"):
            told.result(TIMEOUT)
    wait_until(lambda: keys_of(fresh, state.id, "a") == set(), TIMEOUT)
    assert not is_listed(state.id)


def test_what_was_deleted_before_a_worker_came_does_not_run(fresh: Site) -> None:
    """An execution that was cancelled and deleted while its first message was still queued stays deleted."""
    manager = StateManager()
    state = manager.initialize_state(plan(action("a", "test.value")))
    (sent,) = fresh.redis.lrange(fresh.queue, 0, -1)
    manager.cancel_execution(state.id)
    assert manager.delete(state.id) is False
    fresh.start_worker(concurrency=1)
    wait_until(lambda: keys_of(fresh, state.id, "a") == set(), TIMEOUT)
    fresh.redis.lpush(fresh.queue, sent)
    # One process: when this plan is through, so is what stands before it, and all that it would have started.
    execute_plan.delay(plan(action("b", "test.value"))).get(timeout=TIMEOUT)
    assert keys_of(fresh, state.id, "a") == set()
    assert fresh.runs(state.id) == {}


def test_a_deletion_that_was_cut_off_is_completed(own: Site) -> None:
    """Whoever deletes dies half way, with some results gone: the sweeper deletes the rest."""
    result = execute_plan.delay(plan(action("a", "test.value"), action("b", "test.value")))
    result.get(timeout=TIMEOUT)
    # What closes it looks twice, and would delete it all the second time.
    store, member = engine_of(own.app).store, deadline_member(result.id)
    wait_until(lambda: own.redis.zscore(store.keys.deadlines, member) is None, TIMEOUT)
    assert own.fields(result.id).get("closed")
    assert ask_to_delete(store, result.id, 3_600_000) == ("closed", "")
    own.redis.delete(store.results.key(result.id, "a"))
    look_now(own, result.id)
    wait_until(lambda: keys_of(own, result.id, "a", "b") == set(), TIMEOUT)
    assert not is_listed(result.id)


def test_retention(fresh: Site) -> None:
    """``keep_completed`` and ``keep_failed``, also longer ones than ``result_expires``, hold for every key, the
    results of Celery among them; cancelled is kept as failed.
    """
    fresh.settings(workflow_state={"keep_completed": 7200, "keep_failed": 600.5})
    fresh.start_worker()
    manager = StateManager()
    good = manager.initialize_state(plan(*(action(name, "test.value") for name in "abc")))
    bad = manager.initialize_state(broken_plan())
    gate = uuid.uuid4().hex
    stopped = manager.initialize_state(plan(*(action(name, "test.gate", inputs={"name": gate}) for name in "abc")))
    fresh.wait_started(gate)
    manager.cancel_execution(stopped.id)
    fresh.open_gate(gate, 3)
    ended = {result.id: manager.wait(result.id, TIMEOUT).status for result in (good, bad, stopped)}
    assert list(ended.values()) == ["completed", "failed", "cancelled"]
    for execution_id, status in ended.items():
        wait_until(lambda one=execution_id: keys_of(fresh, one, *"abc").isdisjoint(fresh.lasting_keys()), TIMEOUT)
        keys = keys_of(fresh, execution_id, *"abc")
        assert task_keys(execution_id, *"abc") < keys
        low, high = (7100, 7200) if status == "completed" else (500, 600.5)
        assert all(low * 1000 < fresh.redis.pttl(key) <= high * 1000 for key in keys)


DIES = """
import os, sys
from tests.integration.apps.own_app import make_app
from workflow_state import StateManager
from workflow_state.runtime import points
app = make_app()
app.conf.update(broker_url=os.environ["REDIS_URL"], result_backend=os.environ["REDIS_URL"])
app.set_current()
points.handler = lambda point: os._exit(0) if point == "accepted" else None
StateManager(app).rerun(sys.argv[1])
"""


def test_a_rerun_whose_caller_died_is_given_up(own: Site) -> None:
    """A caller that dies between storing a rerun and starting it has told nobody its id: the sweeper cancels it,
    none of its actions runs, and its keys get their TTL as any other's.
    """
    manager, name = StateManager(), uuid.uuid4().hex
    old = manager.initialize_state({**broken_plan(), "name": name})
    manager.wait(old.id, TIMEOUT)
    own.run_python(DIES, old.id)
    (left,) = manager.list_executions(name=name, status="initializing").items
    assert left.rerun_of == old.id
    due = own.redis.zscore(engine_of(own.app).store.keys.deadlines, deadline_member(left.id))
    assert due - left.created_at.timestamp() * 1000 == pytest.approx(HELD_BACK_MS, abs=1000)
    look_now(own, left.id)
    state = manager.wait(left.id, TIMEOUT)
    assert (state.status, set(statuses(state).values())) == ("cancelled", {"skipped"})
    assert state.error is not None
    assert "never started" in state.error.message
    wait_until(lambda: keys_of(own, left.id, *"abc").isdisjoint(own.lasting_keys()), TIMEOUT)


def undone(own: Site, change: Callable[[str], object]) -> str:
    """An execution by hand, of one action that runs, whose driver dies right after one more change."""
    manager = StateManager()
    execution_id = manager.initialize_state(plan(action("a"), action("b", "any", "a")), start=False).id
    manager.update_action_status(execution_id, "a", "running")
    change(execution_id)
    return execution_id


def test_a_rerun_of_what_is_just_being_deleted_stores_nothing(own: Site) -> None:
    """Of an execution that is deleted, or expires, results go before records. Who runs it again in between is told
    that it is gone, and no new execution is left behind.
    """
    engine, manager = engine_of(own.app), StateManager()
    execution_id = manager.initialize_state(
        plan(action("a", "test.value"), action("b", "test.fail", "a", retry={"max_attempts": 1}))
    ).id
    assert manager.wait(execution_id, TIMEOUT).status == "failed"
    own.redis.unlink(engine.store.results.key(execution_id, "a"))
    before = own.redis.zrange(engine.store.keys.executions, 0, -1)
    with pytest.raises(ExecutionNotFoundError, match=execution_id):
        manager.rerun(execution_id)
    assert own.redis.zrange(engine.store.keys.executions, 0, -1) == before


def test_what_a_driver_that_died_left_undone_is_carried_out(own: Site) -> None:
    """By hand, the caller that records a result or cancels makes the next decisions as well; when it dies before
    them, the sweeper makes them.
    """
    store = engine_of(own.app).store

    def fail(execution_id: str) -> None:
        payload, error = store.results.success(execution_id, "a", 1), None
        rest = {"error": error, "reason": "", "look_after_ms": 2000}
        store.transition(execution_id, "a", ActionStatus.FAILED, payload=payload, halts=True, **rest)

    failed = undone(own, fail)
    look_now(own, failed)
    assert StateManager().wait(failed, TIMEOUT).status == "failed"
    assert statuses(StateManager().get_full_state(failed)) == {"a": "failed", "b": "skipped"}


def test_nobody_drives_it_any_more(fresh: Site) -> None:
    """An execution by hand that nobody has touched for ``keep_untouched`` seconds is cancelled: what ran fails, the
    rest is skipped, and no key of it stays for ever.
    """
    fresh.settings(workflow_state={"keep_untouched": 3, "lease": 1})
    fresh.start_worker()
    manager = StateManager()
    execution_id = undone(fresh, lambda _: None)
    never = manager.initialize_state(plan(action("a")), start=False).id
    look_now(fresh, execution_id)
    state = manager.wait(execution_id, TIMEOUT)
    assert (state.status, statuses(state)) == ("cancelled", {"a": "failed", "b": "skipped"})
    assert manager.wait(never, TIMEOUT).status == "cancelled"
    wait_until(lambda: not fresh.lasting_keys(), TIMEOUT)


def test_the_program_of_a_closed_execution_is_let_go_of(site: Site) -> None:
    """Whoever drove an execution to its end holds no more of it: a large program takes much memory."""
    manager, engine = StateManager(), engine_of(site.app)
    execution_id = manager.initialize_state(plan(action("a", "test.value")), start=False).id
    manager.update_action_status(execution_id, "a", ActionStatus.RUNNING)
    program = weakref.ref(engine.programs.get(execution_id))
    assert program() is not None
    manager.record_action_result(execution_id, "a", 1)
    assert manager.get_full_state(execution_id).status == "completed"
    gc.collect()
    assert program() is None


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("schedule", ["levels", "dataflow"])
def test_an_id_that_is_used_again_runs_the_new_plan(own: Site, schedule: str, batch_size: int) -> None:
    """Workers keep programs by the id of their execution: once that is deleted, another plan under the same id is
    run as it says, by the very processes that ran the first, with its actions, its inputs and its references.
    """
    manager, name = StateManager(), f"again-{uuid.uuid4().hex}"
    for number in (1, 2, 3):
        first = action("a", "test.value", inputs={"value": number})
        others = [
            action(one, "test.value", "a", inputs={"value": [number, n, "${a.output}"]})
            for n in range(9)
            for one in (f"b{number}-{n}", f"c{n}")
        ]
        ends = {"b": f"${{b{number}-8.output}}", "c": "${c8.output}"}
        last = action("last", "test.value", *(one["id"] for one in others), inputs={"value": ends})
        wanted = plan(first, *others, last, schedule=schedule, batch_size=batch_size)
        execute_plan.apply_async((wanted,), task_id=name).get(timeout=TIMEOUT)
        state = manager.get_full_state(name)
        assert {one["id"] for one in others} | {"a", "last"} == set(state.action_states)
        assert state.action_states["last"].result.output == {"b": [number, 8, number], "c": [number, 8, number]}
        wait_until(lambda: own.fields(name).get("closed") == "1", TIMEOUT)
        assert manager.delete(name)


def test_a_message_that_ended_an_execution_does_not_end_the_next_of_its_id(site: Site) -> None:
    """In a busy queue the message that ends an execution may be there twice. When the second comes, the id may be in
    use again: nothing of that execution is changed, and it ends by itself.
    """
    manager, engine, name = StateManager(), engine_of(site.app), f"again-{uuid.uuid4().hex}"
    execute_plan.apply_async((plan(action("a", "test.value")),), task_id=name).get(timeout=TIMEOUT)
    wait_until(lambda: site.fields(name).get("closed") == "1", TIMEOUT)
    later, queue = f"later-{name}", site.app.conf.task_default_queue
    site.redis.hset(engine.store.keys.execution(name), "caller", json.dumps({"queue": later}))
    engine.end_again(name)
    assert manager.delete(name)

    manager.initialize_state(plan(action("b", "test.value")), start=False, execution_id=name)
    before = manager.get_full_state(name)
    assert site.redis.lmove(later, queue, "LEFT", "LEFT")
    handled = re.compile(rf"Task workflow_state\.finish\[{name}\] (ignored|succeeded)")
    wait_until(lambda: any(handled.search(worker.output) for worker in site.workers), TIMEOUT)
    assert manager.get_full_state(name) == before
    manager.update_action_status(name, "b", ActionStatus.RUNNING)
    manager.record_action_result(name, "b", 1)
    assert manager.get_full_state(name).status == "completed"


@pytest.mark.parametrize(("schedule", "part"), [("dataflow", (0, 0)), ("levels", (["a", "gone"], 1))])
def test_a_part_that_is_left_over_from_another_schedule_is_dropped(site: Site, schedule: str, part: Any) -> None:
    """The message that publishes a part of what is open may come when the id is in use again, by a plan of the other
    schedule: nothing happens, and nothing fails.
    """
    gate = uuid.uuid4().hex
    result = execute_plan.delay(plan(action("a", "test.gate", inputs={"name": gate}), schedule=schedule))
    site.wait_started(gate)
    before = StateManager().get_full_state(result.id)
    engine_of(site.app).publish_part(result.id, part)
    assert StateManager().get_full_state(result.id) == before
    site.open_gate(gate)
    assert result.get(timeout=TIMEOUT).status == "completed"

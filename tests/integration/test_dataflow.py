"""The schedule ``dataflow``: an action starts when its own dependencies have ended, whatever else runs."""

from __future__ import annotations

import uuid
from typing import Any

from tests.integration.outcomes import ONCE, TIMEOUT, output, run, statuses
from tests.support import wait_until
from tests.workers import EFFECTS, Site, action, plan
from workflow_state import ExecutionState, ExecutionStatus, StateManager, execute_plan
from workflow_state.runtime.dataflow import Dataflow
from workflow_state.runtime.engine import engine_of
from workflow_state.runtime.schedule import Means
from workflow_state.store.flow import FlowStore
from workflow_state.validation import prepare_plan


def flow(*actions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A plan that runs as a data flow."""
    return plan(*actions, schedule="dataflow", **fields)


def started_after_needs(state: ExecutionState, needs: dict[str, list[str]]) -> None:
    """By the times recorded, nothing started before all that it waits for had ended."""
    for name, before in needs.items():
        for other in before:
            ended, started = state.action_states[other].completed_at, state.action_states[name].started_at
            assert ended is not None
            assert started is not None
            assert ended <= started, f"{name} started before {other} had ended"


def test_an_action_does_not_wait_for_a_sibling_of_an_earlier_level(library: Site) -> None:
    """``slow`` and ``quick`` are of the first level; what depends on ``quick`` alone runs to its end, two levels on,
    while ``slow`` still runs, and a join of both waits for both. In levels it would wait for ``slow``.
    """
    gate = uuid.uuid4().hex
    result = execute_plan.delay(
        flow(
            action("slow", "test.gate", inputs={"name": gate}),
            action("quick", "test.value", inputs={"value": 1}),
            action("second", "test.value", "quick", inputs={"value": "${quick.output}"}),
            action("third", "test.value", "second", inputs={"value": "${second.output}"}),
            action("join", "test.value", "slow", "third", inputs={"value": "${third.output}"}),
        )
    )
    library.wait_started(gate)
    manager = StateManager()
    wait_until(
        lambda: manager.get_full_state(result.id).action_states["third"].status == "completed", TIMEOUT, "third has run"
    )
    state = manager.get_full_state(result.id)
    assert statuses(state) == {
        "slow": "running",
        "quick": "completed",
        "second": "completed",
        "third": "completed",
        "join": "pending",
    }
    library.open_gate(gate)
    state = result.get(timeout=TIMEOUT)
    assert state.status == ExecutionStatus.COMPLETED
    started_after_needs(state, {"second": ["quick"], "third": ["second"], "join": ["slow", "third"]})


def test_decisions_are_carried_on_without_a_message(library: Site) -> None:
    """A skip makes the turn of what waits for it, and so on down a branch that is not taken: nothing of it is sent,
    and the join behind it runs.
    """
    state = run(
        flow(
            action("first", "test.value", inputs={"value": 1}),
            action("b1", "test.value", "first", condition={"if": "${first.output} == 2"}),
            action("b2", "test.value", "b1"),
            action("b3", "test.value", "b2"),
            action("other", "test.value", "first", inputs={"value": 5}),
            action("join", "test.value", "b3", "other", inputs={"value": "${other.output}"}),
        )
    )
    assert statuses(state) == {
        "first": "completed",
        "b1": "skipped",
        "b2": "skipped",
        "b3": "skipped",
        "other": "completed",
        "join": "completed",
    }
    assert library.runs(state.id) == {"first": 1, "other": 1, "join": 1}


def test_a_failure_that_nothing_tolerates_ends_the_execution(library: Site) -> None:
    """What runs ends, nothing new starts, all that never ran is skipped with the reason."""
    gate, breaking = uuid.uuid4().hex, uuid.uuid4().hex
    result = execute_plan.delay(
        flow(
            action("runs", "test.gate", inputs={"name": gate}),
            action("after", "test.value", "runs"),
            action("bad", "test.gate", inputs={"name": breaking, "then_fail": "refused"}, retry=ONCE),
            action("never", "test.value", "bad"),
        )
    )
    library.wait_started(gate)
    library.open_gate(breaking)
    manager = StateManager()
    wait_until(lambda: manager.get_full_state(result.id).action_states["bad"].status == "failed", TIMEOUT)
    library.open_gate(gate)
    state = manager.wait(result.id, TIMEOUT)
    assert state.status == ExecutionStatus.FAILED
    assert statuses(state) == {"runs": "completed", "after": "skipped", "bad": "failed", "never": "skipped"}


def test_the_apps_setting_is_for_plans_that_do_not_say(fresh: Site) -> None:
    """``workflow_state = {"schedule": "dataflow"}``: what depends on nothing that runs goes on; a plan that says
    ``levels`` waits.
    """
    fresh.settings(workflow_state={"schedule": "dataflow"})
    fresh.start_worker(concurrency=3)
    gate = uuid.uuid4().hex
    actions = (
        action("slow", "test.gate", inputs={"name": gate}),
        action("quick", "test.value"),
        action("second", "test.value", "quick"),
    )
    unsaid, levels = execute_plan.delay(plan(*actions)), execute_plan.delay(plan(*actions, schedule="levels"))
    fresh.wait_started(gate, 2)
    manager = StateManager()
    wait_until(lambda: manager.get_full_state(unsaid.id).action_states["second"].status == "completed", TIMEOUT)
    wait_until(lambda: manager.get_full_state(levels.id).action_states["quick"].status == "completed", TIMEOUT)
    assert manager.get_full_state(levels.id).action_states["second"].status == "pending"
    fresh.open_gate(gate, 2)
    assert unsaid.get(timeout=TIMEOUT).status == levels.get(timeout=TIMEOUT).status == ExecutionStatus.COMPLETED


def test_a_wide_turn_is_published_by_several(fresh: Site) -> None:
    """With parts of five, twenty-three actions whose turn comes together are handed out in messages of their own; each
    runs once, and so does the join behind them.
    """
    # The lease is longer than this takes anywhere: what has been ready for one is looked after, by one more message.
    fresh.settings(workflow_state={"part_size": 5, "lease": 60})
    fresh.start_worker()
    names = [f"w{n}" for n in range(23)]
    wide = [action(name, "test.value", "first") for name in names]
    state = run(flow(action("first", "test.value"), *wide, action("join", "test.value", *names)))
    assert state.status == ExecutionStatus.COMPLETED
    assert fresh.runs(state.id) == dict.fromkeys(["first", *names, "join"], 1)
    assert (
        sum("workflow_state.advance" in line and "received" in line for line in fresh.workers[0].output.splitlines())
        == 4
    )


def test_a_lost_turn_is_followed_up(fresh: Site) -> None:
    """The messages of what became ready vanish before any worker saw them: the sweeper sends them again, each once."""
    fresh.start_worker()
    queue = uuid.uuid4().hex
    result = execute_plan.delay(
        flow(
            action("first", "test.value"),
            action("a", "test.value", "first", queue=queue),
            action("b", "test.value", "first", queue=queue),
            action("join", "test.value", "a", "b"),
        )
    )
    wait_until(lambda: fresh.redis.llen(queue) >= 2, TIMEOUT, "both are published")
    fresh.redis.delete(queue)
    fresh.app.control.add_consumer(queue, destination=[fresh.workers[0].address], reply=True)
    state = result.get(timeout=TIMEOUT)
    assert state.status == ExecutionStatus.COMPLETED
    assert fresh.runs(state.id) == {"first": 1, "a": 1, "b": 1, "join": 1}


def test_what_was_left_undecided_is_decided_by_what_has_ended_since(fresh: Site) -> None:
    """A worker ends an action by a decision and dies before it has decided on what comes after; whoever takes that up
    has looked at the execution before all of this, when all went well. It is decided by what has ended since: what only
    a skipped action leads to is skipped.
    """
    engine, execution_id = engine_of(fresh.app), uuid.uuid4().hex
    wanted = prepare_plan(flow(action("a", condition={"if": "false"}), action("b", "test.value", "a"), action("c")))
    engine.accept(wanted, execution_id, {})
    program = engine.programs.get(execution_id)
    assert program is not None
    store, settling, look_after = FlowStore(engine.store), engine.settling, engine.settings.lease_ms
    store.open(execution_id, ["a", "c"], {}, "me", look_after)
    before = engine.store.head(execution_id)
    assert before is not None
    assert before.all_well
    row = (settling.skipped(execution_id, "a", "no"), program.waiting_for("a"))
    decided = store.decide(execution_id, [row], {}, "", look_after)
    assert decided is not None
    assert decided.turns == ("b",)

    tools = (settling, engine.redactor, engine.observers, engine.log, engine.queues)
    means = Means(engine.app, engine.settings, engine.store, *tools)
    assert Dataflow(means).take_up(execution_id, program, before) is None
    assert statuses(StateManager().get_full_state(execution_id)) == {"a": "skipped", "b": "skipped", "c": "pending"}
    assert fresh.redis.llen(fresh.queue) == 1, "only c is sent"
    StateManager().cancel_execution(execution_id)


def test_a_rerun_runs_what_is_left_and_nothing_else(library: Site) -> None:
    """``first`` is run again, and what it leads to has been given: a result for ``given``, a skip for ``left_out``.
    Neither has a turn when ``first`` ends, and the join behind them runs when all have ended.
    """
    wanted = flow(
        action("first", "test.value", inputs={"value": 1}),
        action("given", "test.value", "first", inputs={"value": 2}),
        action("left_out", "test.value", "first"),
        action("two", "test.value", "first", "given", inputs={"value": 3}),
        action("join", "test.value", "given", "left_out", "two", inputs={"value": "${given.output}"}),
        action("bad", "test.fail", "join", retry=ONCE),
    )
    manager, before = StateManager(), run(wanted)
    again = manager.rerun(before.id, from_action="first", results={"given": 7}, skip=["left_out"])
    state = manager.wait(again.id, TIMEOUT)
    assert statuses(state) == {
        "first": "completed",
        "given": "completed",
        "left_out": "skipped",
        "two": "completed",
        "join": "completed",
        "bad": "failed",
    }
    assert output(state, "join") == 7
    assert library.runs(again.id) == {"first": 1, "two": 1, "join": 1, "bad": 1}


def test_a_rerun_lets_who_reads_what_runs_again_wait_for_it(fresh: Site) -> None:
    """``between`` completed and is taken over, while ``shaky`` before it, whose failure was tolerated, runs again.
    ``reader`` depends on ``between`` alone, and reads ``shaky``: it waits for it, as it would level by level.
    """
    queue, key = uuid.uuid4().hex, uuid.uuid4().hex
    tolerated = {"error_handling": {"continue_on_failure": True}, "retry": ONCE}
    wanted = flow(
        action("shaky", "test.fails_unless", inputs={"key": key}, queue=queue, **tolerated),
        action("between", "test.value", "shaky"),
        action("reader", "test.value", "between", inputs={"value": "${shaky.output}"}),
    )
    manager, worker = StateManager(), fresh.start_worker()
    fresh.app.control.add_consumer(queue, destination=[worker.address], reply=True)
    before = run(wanted)
    assert statuses(before) == {"shaky": "failed", "between": "completed", "reader": "failed"}
    fresh.app.control.cancel_consumer(queue, destination=[worker.address], reply=True)
    fresh.redis.set(f"{EFFECTS}:{key}", "now it can", ex=900)
    again = manager.rerun(before.id)
    wait_until(lambda: fresh.redis.llen(queue) >= 1, TIMEOUT, "shaky is sent")
    fresh.app.control.add_consumer(queue, destination=[worker.address], reply=True)
    state = manager.wait(again.id, TIMEOUT)
    assert statuses(state) == {"shaky": "completed", "between": "completed", "reader": "completed"}
    assert output(state, "reader") == output(state, "shaky")
    assert fresh.runs(again.id) == {"shaky": 1, "reader": 1}

"""What has happened and what happens: history, watch, wait; and a pause, which all of them show."""

from __future__ import annotations

import threading
import uuid

import pytest

from tests.integration.outcomes import ONCE, QUICK, TIMEOUT, run, statuses
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import (
    ActionRetrying,
    Event,
    ExecutionNotFoundError,
    ExecutionState,
    InvalidTransitionError,
    StateManager,
    execute_plan,
)
from workflow_state.event_types import EVENT

pytestmark = pytest.mark.usefixtures("both_schedules")


def brief(events: list[Event]) -> list[tuple[str, str]]:
    """Type and action of each event."""
    return [(event.type, getattr(event, "action_id", "")) for event in events]


def test_the_history_tells_a_run_in_order(library: Site) -> None:
    """Start, attempts, retries, skips and end, numbered 1, 2, 3 without a gap, each with its time; as JSON too."""
    retried = action("a", "test.flaky", inputs={"times": 1}, retry=QUICK)
    skipped = action("b", "test.value", "a", condition={"if": "${a.output} == 'no'"})
    broken = action("c", "test.fail", "a", retry=ONCE)
    state = run(plan(retried, skipped, broken, id="story"))
    events = StateManager().history(state.id)
    assert brief(events) == [
        ("plan.execution.started", ""),
        ("action.execute.requested", "a"),
        ("action.retrying", "a"),
        ("action.execute.requested", "a"),
        ("action.execute.completed", "a"),
        ("action.skipped", "b"),
        ("action.execute.requested", "c"),
        ("action.execute.failed", "c"),
        ("plan.execution.failed", ""),
    ]
    assert [event.sequence for event in events] == list(range(1, 10))
    assert [event.time for event in events] == sorted(event.time for event in events)
    assert {(event.execution_id, event.plan_id) for event in events} == {(state.id, "story")}
    retrying = events[2]
    assert isinstance(retrying, ActionRetrying)
    assert retrying.attempt == 1
    assert retrying.error is not None
    assert events == [EVENT.validate_json(EVENT.dump_json(event, by_alias=True)) for event in events]
    assert StateManager().history(state.id, after=7) == events[7:]


def test_watching_gives_each_event_as_it_happens(library: Site) -> None:
    """``watch`` begins with what has happened, waits for what happens, and ends with the execution."""
    gate = uuid.uuid4().hex
    state = StateManager().initialize_state(plan(action("a", "test.gate", inputs={"name": gate}), action("b")))
    seen: list[Event] = []
    events = StateManager().watch(state.id)
    watcher = threading.Thread(target=lambda: seen.extend(events), daemon=True)
    watcher.start()
    library.wait_started(gate)
    library.open_gate(gate)
    watcher.join(TIMEOUT)
    assert not watcher.is_alive()
    assert seen == StateManager().history(state.id)
    assert brief(seen)[-1] == ("plan.execution.completed", "")


def test_waiting_gives_the_final_state_however_it_ended(library: Site) -> None:
    """``wait`` returns when the execution has ended, failed ones too, and says so when it takes too long."""
    gate = uuid.uuid4().hex
    fails = action("a", "test.gate", inputs={"name": gate, "then_fail": "on purpose"}, retry=ONCE)
    started = StateManager().initialize_state(plan(fails))
    with pytest.raises(TimeoutError, match=started.id):
        StateManager().wait(started.id, timeout=0.2)
    library.open_gate(gate)
    assert StateManager().wait(started.id, timeout=TIMEOUT).status == "failed"


@pytest.mark.parametrize("method", ["history", "watch", "wait", "pause_execution", "resume_execution"])
def test_an_unknown_execution_is_an_error(library: Site, method: str) -> None:
    """Unknown ids raise at once, nothing waits for what is not there."""
    with pytest.raises(ExecutionNotFoundError, match="no-such"):
        getattr(StateManager(), method)("no-such")


def test_a_pause_lets_nothing_start_and_holds_no_message(library: Site) -> None:
    """What runs ends, nothing new starts, no message is held; resumed, the rest runs, each action once."""
    gate, manager = uuid.uuid4().hex, StateManager()
    first = action("first", "test.gate", inputs={"name": gate})
    then, last = action("then", "test.echo", "first"), action("last", "test.echo", "then")
    state = manager.initialize_state(plan(first, then, last))
    library.wait_started(gate)
    assert manager.pause_execution(state.id)
    assert manager.pause_execution(state.id)
    library.open_gate(gate)
    wait_until(lambda: statuses(manager.get_full_state(state.id))["first"] == "completed")
    wait_until(lambda: not library.redis.exists(library.queue, "unacked"))
    paused = manager.get_full_state(state.id)
    assert paused.paused
    assert statuses(paused) == {"first": "completed", "then": "pending", "last": "pending"}
    assert manager.get_available_actions(state.id) == []
    assert manager.resume_execution(state.id)
    ended = manager.wait(state.id, timeout=TIMEOUT)
    assert (ended.status, ended.paused) == ("completed", False)
    assert library.runs(state.id) == {"first": 1, "then": 1, "last": 1}
    kinds = [event.type for event in manager.history(state.id)]
    assert [kind for kind in kinds if "plan." in kind] == [
        *("plan.execution.started", "plan.execution.paused", "plan.execution.resumed", "plan.execution.completed"),
    ]
    assert not manager.pause_execution(state.id)


def test_what_was_just_sent_is_waited_for(fresh: Site) -> None:
    """``watch`` and ``wait`` of a plan that no worker has accepted yet wait for one, and then go on as ever."""
    manager, result = StateManager(), execute_plan.delay(plan(action("a")))
    events: list[Event] = []
    ended: list[ExecutionState] = []
    waiters = [
        threading.Thread(target=lambda: events.extend(manager.watch(result.id)), daemon=True),
        threading.Thread(target=lambda: ended.append(manager.wait(result.id, timeout=TIMEOUT)), daemon=True),
    ]
    with pytest.raises(TimeoutError, match="has not ended within"):
        manager.wait(result.id, timeout=0.1)
    for waiter in waiters:
        waiter.start()
    wait_until(lambda: fresh.redis.info("clients")["blocked_clients"] >= len(waiters), TIMEOUT)
    fresh.start_worker()
    for waiter in waiters:
        waiter.join(TIMEOUT)
    assert [state.status for state in ended] == ["completed"]
    assert brief(events)[0] == ("plan.execution.started", "")
    assert brief(events)[-1] == ("plan.execution.completed", "")


def test_what_was_sent_and_withdrawn_is_not_waited_for(fresh: Site) -> None:
    """A plan that had expired before a worker could accept it is unknown to those who wait for it."""
    manager, result = StateManager(), execute_plan.apply_async((plan(action("a")),), expires=0.1)
    fresh.start_worker()
    wait_until(lambda: result.state == "REVOKED", TIMEOUT)
    for wait in (lambda: manager.wait(result.id, timeout=TIMEOUT), lambda: list(manager.watch(result.id))):
        with pytest.raises(ExecutionNotFoundError):
            wait()


def test_a_pause_holds_messages_that_are_under_way(fresh: Site) -> None:
    """An action whose message was out before the pause does not start; resuming sends it again."""
    manager = StateManager()
    state = manager.initialize_state(plan(action("a"), action("b")))
    manager.pause_execution(state.id)
    fresh.start_worker()
    wait_until(lambda: not fresh.redis.exists(fresh.queue, "unacked"))
    assert statuses(manager.get_full_state(state.id)) == {"a": "pending", "b": "pending"}
    manager.resume_execution(state.id)
    assert manager.wait(state.id, timeout=TIMEOUT).status == "completed"
    assert fresh.runs(state.id) == {"a": 1, "b": 1}


def test_a_paused_execution_can_be_cancelled(library: Site) -> None:
    """A cancel goes before a pause: the execution ends, with what was done kept."""
    gate, manager = uuid.uuid4().hex, StateManager()
    first = action("first", "test.gate", inputs={"name": gate})
    state = manager.initialize_state(plan(first, action("then", "test.echo", "first")))
    library.wait_started(gate)
    manager.pause_execution(state.id)
    library.open_gate(gate)
    manager.cancel_execution(state.id)
    assert manager.wait(state.id, timeout=TIMEOUT).status == "cancelled"


def test_a_cancel_without_a_reason_is_a_cancel(library: Site) -> None:
    """Who gives an empty reason cancels all the same, of workers and by hand: the execution ends, and says why."""
    gate, manager = uuid.uuid4().hex, StateManager()
    wanted = plan(action("first", "test.gate", inputs={"name": gate}), action("then", "test.echo", "first"))
    driven, by_hand = manager.initialize_state(wanted), manager.initialize_state(wanted, start=False)
    library.wait_started(gate)
    for execution_id in (driven.id, by_hand.id):
        assert manager.cancel_execution(execution_id, "")
    library.open_gate(gate)
    for execution_id in (driven.id, by_hand.id):
        state = manager.wait(execution_id, timeout=TIMEOUT)
        assert (state.status, state.action_states["then"].status) == ("cancelled", "skipped")
        assert state.error is not None
        assert state.error.message == "The execution was cancelled"


def test_by_hand_nothing_starts_while_paused(library: Site) -> None:
    """An execution driven by hand can be paused as well: starting an action is refused until it is resumed."""
    manager = StateManager()
    state = manager.initialize_state(plan(action("a")), start=False)
    manager.pause_execution(state.id)
    with pytest.raises(InvalidTransitionError, match="resume_execution"):
        manager.update_action_status(state.id, "a", "running")
    manager.resume_execution(state.id)
    manager.update_action_status(state.id, "a", "running")
    manager.record_action_result(state.id, "a", 1)
    assert manager.get_full_state(state.id).status == "completed"

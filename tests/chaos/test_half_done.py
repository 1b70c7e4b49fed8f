"""Callers that die half way through an answer or a cancel, and workers that die in a cancelled execution."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Connection

from tests.chaos.fleet import Fleet
from tests.chaos.plans import SCHEDULES, action
from tests.chaos.scene import Scene
from tests.support import wait_until
from workflow_state import InvalidTransitionError, Success
from workflow_state.runtime.engine import engine_of
from workflow_state.store.redis import Store
from workflow_state.validation import prepare_plan

BOUND = 30.0
SETTINGS = {"lease": 1.0, "sweep_interval": 0.25}
LOOK_AFTER = 1000

#: An action that waits for a confirmation.
ASKS = action(
    "work",
    "chaos.work",
    inputs={"number": 1, "pause": 1, "values": []},
    user_confirmation={"required": True, "title": "Go?"},
)
#: What the caller had done when it died, and how the execution and its action end all the same.
HALVES: dict[str, tuple[Callable[[Store, str], object], str, str]] = {
    "confirmed": (lambda store, e: store.confirm(e, "work", True, "ada", LOOK_AFTER), "completed", "completed"),
    "rejected": (lambda store, e: store.confirm(e, "work", False, "ada", LOOK_AFTER), "cancelled", "skipped"),
    "cancelled": (lambda store, e: store.cancel(e, "enough", LOOK_AFTER), "cancelled", "skipped"),
}


@pytest.fixture(scope="module")
def fleet(scene: Scene) -> Iterator[Fleet]:
    """One worker for all."""
    with scene.fleet(1) as found:
        yield found


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("half", HALVES)
def test_what_a_dead_caller_began_is_carried_out(half: str, schedule: str, scene: Scene, fleet: Fleet) -> None:
    """Who confirms, rejects or cancels dies when the store has noted it, before anything came of it: it comes."""
    begin, status, action_status = HALVES[half]
    execution_id = scene.start({"id": half, "schedule": schedule, "actions": [ASKS]})
    wait_until(lambda: scene.field(execution_id, "waiting") == "1", BOUND, "the action waits")
    begin(engine_of(scene.app).store, execution_id)
    state = scene.wait_closed(execution_id, BOUND, fleet)
    assert (state.status, state.action_states["work"].status) == (status, action_status)
    assert scene.keys_without_ttl(execution_id) == []


class Died(BaseException):
    """In place of the end of a process: no handler of errors sees it."""


@pytest.fixture
def die_before(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """Call it with n, and this process may send n more packets to servers before it dies; None: any number."""
    send = Connection.send_packed_command
    left: list[int | None] = [None]

    def counted(self: Connection, command: Any, check_health: bool = True) -> None:
        # What a result does when it is dropped is no step of the caller's.
        if left[0] is not None and b"UNSUBSCRIBE" not in b"".join(command):
            if left[0] == 0:
                self.disconnect()
                raise Died
            left[0] -= 1
        send(self, command, check_health)

    monkeypatch.setattr(Connection, "send_packed_command", counted)

    def die(count: int | None) -> None:
        left[0] = count

    return die


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_result_by_hand_counts_or_changes_nothing(
    schedule: str, scene: Scene, fleet: Fleet, die_before: Callable[[int | None], None]
) -> None:
    """Somebody did by hand what waits for a confirmation, and who records it dies before one of its commands to the
    server, each in turn: the result is on record, or the action waits as it did. It does not run, which would do once
    more what was done.
    """
    for count in range(100):
        execution_id = scene.start({"id": "by hand", "schedule": schedule, "actions": [ASKS]})
        wait_until(lambda e=execution_id: scene.field(e, "waiting") == "1", BOUND, "the action waits")
        die_before(count)
        try:
            scene.manager.record_action_result(execution_id, "work", {"value": 7})
            died = False
        except Died:
            died = True
        finally:
            die_before(None)
        if scene.field(execution_id, "waiting") == "1":
            assert scene.state(execution_id).confirmations[0].responded_at is None
            scene.manager.record_action_result(execution_id, "work", {"value": 7})
        state = scene.wait_closed(execution_id, BOUND, fleet)
        assert state.action_states["work"].result == Success(output={"value": 7})
        assert scene.journal.starts(execution_id) == []
        if not died:
            return
    raise AssertionError("it died every time")


def test_a_lost_action_of_a_cancelled_execution_is_not_started_again(scene: Scene, fleet: Fleet) -> None:
    """An execution is cancelled, then the process of its running action dies: nothing starts after a cancel, not
    that action either; it fails as cancelled and the execution ends.
    """
    wait = action("wait", "chaos.wait", inputs={"gate": str(scene.gate())})
    execution_id = scene.start({"id": "cancelled", "actions": [wait]})
    child = scene.wait_started(execution_id, "wait")
    scene.manager.cancel_execution(execution_id)
    os.kill(child, signal.SIGKILL)
    state = scene.wait_closed(execution_id, BOUND, fleet)
    found = state.action_states["wait"]
    assert (state.status, found.status, found.error.category) == ("cancelled", "failed", "user_cancelled")
    assert len(scene.journal.starts(execution_id)) == 1


def test_an_execution_that_is_cancelled_while_its_end_is_worked_out_is_cancelled(scene: Scene, fleet: Fleet) -> None:
    """The last action has ended, and a worker is about to say how the execution did when a cancel is accepted: the
    execution is ``cancelled``, as who cancels was told, and what was done is kept.
    """
    engine, execution_id = engine_of(scene.app), uuid.uuid4().hex
    work = action("work", "chaos.work", inputs={"number": 1, "pause": 1, "values": []})
    engine.accept(prepare_plan({"id": "late", "schedule": "levels", "actions": [work]}), execution_id, {})
    store = engine.store
    assert store.advance(execution_id, 0, 1, 0, [], "", "me", LOOK_AFTER)
    begun = store.begin(execution_id, "work", 1, "me/1", LOOK_AFTER, [], 0)
    payload = store.results.success(execution_id, "work", 7)
    _, head = store.finish(execution_id, "work", begun.token, "completed", payload=payload, look_after_ms=LOOK_AFTER)
    assert store.cancel(execution_id, "enough", LOOK_AFTER)[0] == "cancelled"
    engine.advance(execution_id, head)
    state = scene.wait_closed(execution_id, BOUND, fleet)
    assert (state.status, state.error.message, state.action_states["work"].status) == (
        "cancelled",
        "enough",
        "completed",
    )


def test_a_driver_that_died_after_its_last_change_ends_the_execution_when_it_repeats_it(scene: Scene) -> None:
    """An execution is driven by hand, and its driver dies when its last result is recorded and before the
    execution has ended. Whoever takes over repeats that result: it is refused, and the execution ends.
    """
    work = action("work", "chaos.work", inputs={"number": 1, "pause": 1, "values": []})
    execution_id = scene.manager.initialize_state({"id": "by hand", "actions": [work]}, start=False).id
    scene.manager.update_action_status(execution_id, "work", "running")
    store = engine_of(scene.app).store
    payload = store.results.success(execution_id, "work", 7)
    store.transition(
        execution_id, "work", "completed", payload=payload, error=None, reason="", halts=False, look_after_ms=LOOK_AFTER
    )
    assert scene.state(execution_id).status == "running"
    with pytest.raises(InvalidTransitionError):
        scene.manager.record_action_result(execution_id, "work", 7)
    assert scene.state(execution_id).status == "completed"
    assert scene.keys_without_ttl(execution_id) == []


def test_a_driver_that_died_over_the_end_completes_it_when_it_repeats_its_last_change(
    tmp_path: Path, die_before: Callable[[int | None], None]
) -> None:
    """There is no worker, and who drives an execution by hand dies before one of the commands that its last result
    takes, each in turn. Whoever repeats that result completes the end: Celery's result of the execution is stored, and
    nothing is left without TTL.
    """
    work = action("work", "chaos.work", inputs={"number": 1, "pause": 1, "values": []})
    with Scene(tmp_path / "alone", workflow_state={"lease": 0.2}) as alone:
        for count in range(100):
            execution_id = alone.manager.initialize_state({"id": "by hand", "actions": [work]}, start=False).id
            alone.manager.update_action_status(execution_id, "work", "running")
            die_before(count)
            try:
                alone.manager.record_action_result(execution_id, "work", 7)
                died = False
            except Died:
                died = True
            finally:
                die_before(None)
            wait_until(lambda e=execution_id: ends_when_repeated(alone, e), BOUND, f"it ends after {count} commands")
            assert alone.result(execution_id).state == "SUCCESS"
            assert alone.keys_without_ttl(execution_id) == []
            if not died:
                return
    raise AssertionError("it died every time")


def ends_when_repeated(scene: Scene, execution_id: str) -> bool:
    """Record the last result once more; whether nothing is left to do for the execution."""
    with suppress(InvalidTransitionError):
        scene.manager.record_action_result(execution_id, "work", 7)
    return scene.closed(execution_id)

"""Control of plans of a thousand actions: a cancel stops them at once, a rerun runs what is missing and no more."""

from __future__ import annotations

import uuid

import pytest

from tests.integration.outcomes import ONCE
from tests.support import wait_until
from tests.workers import EFFECTS, Site, action, plan
from workflow_state import PlanExecutionError, StateManager, execute_plan

pytestmark = pytest.mark.slow
LARGE = 1000
TIMEOUT = 90


@pytest.mark.parametrize("schedule", ["levels", "dataflow"])
def test_a_cancel_stops_a_large_plan_at_once(own: Site, schedule: str) -> None:
    """Once ``cancel_execution`` has returned, nothing new starts: by the recorded times, and by the side effects.
    What runs sees the cancel in its context, ends, and is kept; all the others are skipped.
    """
    result = execute_plan.delay(plan(*(action(f"a{n}", "test.patient") for n in range(LARGE)), schedule=schedule))
    wait_until(lambda: own.notes(f"started:{result.id}"), TIMEOUT, "an action runs")
    manager = StateManager()
    assert manager.cancel_execution(result.id)
    seconds, micros = own.redis.time()
    state = manager.wait(result.id, TIMEOUT)
    assert state.status == "cancelled"
    begun = {name: found for name, found in state.action_states.items() if found.started_at is not None}
    assert all(found.started_at.timestamp() <= seconds + micros / 1e6 + 1 for found in begun.values())
    assert set(own.runs(result.id)) == set(begun)
    assert {found.result.output for found in begun.values()} == {"saw it"}
    assert state.metrics.skipped_actions == LARGE - len(begun)
    assert len(begun) < 10
    wait_until(lambda: not own.redis.exists(own.queue, "unacked"), TIMEOUT, "the messages under way are dropped")


def test_a_rerun_runs_what_is_missing(own: Site) -> None:
    """A plan of 1,000 actions that failed at its 901st: the rerun runs that one and the 99 behind it, counted by
    their side effects, and completes; what had completed is there with its outputs and was not run again.
    """
    key = uuid.uuid4().hex
    fan = [action(f"a{n:03}", "test.value", inputs={"value": n}) for n in range(900)]
    breaks = action("breaks", "test.fails_unless", *(one["id"] for one in fan), inputs={"key": key}, retry=ONCE)
    after = [action(f"z{n:02}", "test.value", "breaks", inputs={"value": f"${{a{n:03}.output}}"}) for n in range(99)]
    first = execute_plan.delay(plan(*fan, breaks, *after))
    with pytest.raises(PlanExecutionError, match="'breaks' failed"):
        first.get(timeout=TIMEOUT)
    assert own.runs(first.id) == {one["id"]: 1 for one in [*fan, breaks]}
    own.redis.set(f"{EFFECTS}:{key}", 1, ex=900)
    again = StateManager().rerun(first.id)
    state = again.get(timeout=TIMEOUT)
    assert state.status == "completed"
    assert own.runs(again.id) == {one["id"]: 1 for one in [breaks, *after]}
    assert state.rerun_of == first.id
    assert {name: found.result.output for name, found in state.action_states.items() if name.startswith("z")} == {
        f"z{n:02}": n for n in range(99)
    }

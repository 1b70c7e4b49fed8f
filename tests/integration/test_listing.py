"""Lists of executions: newest first, filtered, and page by page whatever happens meanwhile."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.outcomes import QUICK, TIMEOUT, run
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import (
    ErrorCategory,
    ErrorDetail,
    ExecutionNotFoundError,
    ExecutionSummary,
    Failure,
    StateManager,
    execute_plan,
)
from workflow_state.store.redis import Store
from workflow_state.store.results import ActionResults

WRONG = Failure(error=ErrorDetail(category=ErrorCategory.ACTION_FAILED, message="no"))
PREFIX = "shop-flows"


def pages(limit: int, **wanted: Any) -> Iterator[list[str]]:
    """The ids of each page, to the last."""
    manager, cursor = StateManager(), None
    while True:
        page = manager.list_executions(limit=limit, cursor=cursor, **wanted)
        yield [found.id for found in page.items]
        cursor = page.cursor
        if cursor is None:
            return


def by_hand(name: str, *, result: object = None, **fields: Any) -> str:
    """An execution that nobody runs; with a result it has ended."""
    manager = StateManager()
    execution_id = manager.initialize_state(plan(action("a", "any"), name=name, **fields), start=False).id
    if result is not None:
        manager.update_action_status(execution_id, "a", "running")
        manager.record_action_result(execution_id, "a", result)
    return execution_id


def a_moment() -> datetime:
    """A moment later than all that there is, and earlier, by a millisecond, than what is made from now on."""
    found = datetime.now(UTC)
    wait_until(lambda: datetime.now(UTC) - found > timedelta(milliseconds=2))
    return found


def test_pages_give_each_execution_once(fresh: Site) -> None:
    """Newest first; what is accepted or vanishes between two pages, that of the cursor too, moves nothing."""
    made = [by_hand(f"n{n}") for n in range(12)]
    whole = StateManager().list_executions().items
    ids = [found.id for found in whole]
    times = [found.created_at for found in whole]
    # Those of the same millisecond come in the order of their ids.
    assert (sorted(ids), times) == (sorted(made), sorted(times, reverse=True))
    assert list(pages(5)) == [ids[:5], ids[5:10], ids[10:]]
    assert list(pages(12)) == [ids]
    first = StateManager().list_executions(limit=4)
    assert [found.id for found in first.items] == ids[:4]
    newer = by_hand("newer")
    for gone in (ids[3], ids[4], ids[9]):
        StateManager().cancel_execution(gone)
        StateManager().delete(gone)
    second = StateManager().list_executions(limit=4, cursor=first.cursor)
    assert [found.id for found in second.items] == ids[5:9]
    last = StateManager().list_executions(limit=4, cursor=second.cursor)
    assert ([found.id for found in last.items], last.cursor) == (ids[10:], None)
    assert newer in next(pages(20))


@pytest.mark.parametrize("limit", [7, 1000])
def test_many_of_one_millisecond(fresh: Site, limit: int) -> None:
    """More executions of the same millisecond than one command reads are all listed, each once."""
    store = Store(ActionResults(fresh.app), PREFIX, now=lambda: 1_700_000_000_000)
    ids = {f"e{n:05}" for n in range(1, 2051)}
    for execution_id in ids:
        store.create(execution_id, "{}", "{}", {"plan_id": "p", "plan_name": "p"}, None, started=False)
    found = [one for page in pages(limit, name="P") for one in page]
    assert (len(found), set(found)) == (len(ids), ids)
    found = [one for page in pages(limit) for one in page]
    assert (len(found), set(found)) == (len(ids), ids)


def test_filters(fresh: Site) -> None:
    """By status, plan, part of the name in any case, and time: one after the other and together."""
    done, _ = by_hand("Nightly report", result=1, id="night"), a_moment()
    broken, between = by_hand("Daily report", result=WRONG), a_moment()
    stopped, _ = by_hand("other", id="night"), a_moment()
    waiting, _ = by_hand("nightly", id="night"), a_moment()
    StateManager().cancel_execution(stopped)
    running = by_hand("x")
    StateManager().update_action_status(running, "a", "running")

    def listed(**wanted: Any) -> list[str]:
        return [one for page in pages(2, **wanted) for one in page]

    assert [listed(status=s) for s in ("completed", "failed", "cancelled", "initializing", "running")] == [
        *([done], [broken], [stopped], [waiting], [running]),
    ]
    assert listed(plan_id="night") == [waiting, stopped, done]
    assert listed(name="REPORT") == [broken, done]
    assert listed(since=between) == [running, waiting, stopped]
    assert listed(until=between) == [broken, done]
    assert listed(since=between, until=between) == []
    assert listed(plan_id="night", name="night", until=between, status="completed") == [done]
    assert listed(status="paused_for_confirmation") == []


def test_what_a_summary_says(library: Site) -> None:
    """Status, pause, times and counts, as the full state has them; what completed is known once it has ended."""
    name = uuid.uuid4().hex
    asks = action("asks", "test.value", "a", "b", user_confirmation={"title": "Really?"})
    skipped = action("b", "test.value", condition={"if": "false"})
    result = execute_plan.delay(plan(action("a", "test.value"), skipped, asks, name=name))
    manager = StateManager()

    def summary(**wanted: Any) -> ExecutionSummary | None:
        return next(iter(manager.list_executions(name=name, **wanted).items), None)

    asked = wait_until(lambda: summary(status="paused_for_confirmation"), TIMEOUT)
    assert (asked.total_actions, asked.skipped_actions, asked.completed_actions) == (3, 1, None)
    manager.pause_execution(result.id)
    paused = summary()
    assert paused is not None
    assert paused.paused
    manager.resume_execution(result.id)
    manager.confirm_action(result.id, "asks", True)
    state = manager.wait(result.id, TIMEOUT)
    found = summary(status="completed")
    assert found is not None
    assert (found.id, found.plan_id, found.name, found.rerun_of) == (state.id, state.plan_id, name, None)
    assert (found.started_at, found.completed_at) == (state.started_at, state.completed_at)
    assert found.started_at >= found.created_at
    metrics = state.metrics
    counts = (metrics.total_actions, metrics.completed_actions, metrics.failed_actions, metrics.skipped_actions)
    assert (found.total_actions, found.completed_actions, found.failed_actions, found.skipped_actions) == counts
    manager.wait(manager.rerun(result.id).id, TIMEOUT)
    assert [one.rerun_of for one in manager.list_executions(name=name).items] == [result.id, None]


def test_action_states_page_by_page(own: Site) -> None:
    """In pages of any size, with every attempt of those that were tried again, they are those of the full state, in
    its order; one that is deleted meanwhile is an error, and does not look as if nothing had begun.
    """
    wide = [action(f"a{n}", "test.flaky", inputs={"times": n % 3}, retry=QUICK) for n in range(7)]
    broken = action("broken", "test.fail", retry={**QUICK, "max_attempts": 2}, error_handling={"fallback_value": 7})
    skipped = action("skipped", "test.value", "a1", condition={"if": "${a1.output} == 'no'"})
    state = run(plan(*wide, broken, skipped, action("last", "test.value", "a2", "broken")))
    assert [len(found.trace) for found in state.action_states.values()][:4] == [1, 2, 3, 1]
    manager = StateManager()
    for page in (1, 3, 10, 1000):
        assert list(manager.iter_action_states(state.id, page=page)) == list(state.action_states.values())
    states = manager.iter_action_states(state.id, page=2)
    assert next(states).status == "completed"
    assert manager.delete(state.id)
    with pytest.raises(ExecutionNotFoundError):
        list(states)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"limit": 0}, "expected 1 to 1000"),
        ({"limit": 1001}, "expected 1 to 1000"),
        ({"cursor": "nonsense"}, "'nonsense' is not a cursor"),
        ({"status": "done"}, "'done' is not a valid ExecutionStatus"),
        ({"since": datetime(2026, 1, 1)}, "has no time zone"),  # noqa: DTZ001 - what is refused
    ],
)
def test_what_cannot_be_listed(library: Site, wanted: dict[str, Any], said: str) -> None:
    """A mistake in a filter is an error that says so, not an empty list."""
    with pytest.raises(ValueError, match=said):
        StateManager().list_executions(**wanted)

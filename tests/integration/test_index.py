"""The index of executions forgets what is gone."""

from __future__ import annotations

from tests.integration.outcomes import TIMEOUT
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import execute_plan
from workflow_state.runtime.engine import engine_of
from workflow_state.runtime.sweeper import TIDY_INTERVAL, Sweeper


def test_the_index_forgets_expired_executions(fresh: Site) -> None:
    """An execution whose records have expired leaves the index with the sweeper's next look; one whose records
    are there stays, and between two looks nothing is looked at.
    """
    fresh.start_worker()
    kept, gone = (execute_plan.delay(plan(action("a", "test.value"))) for _ in range(2))
    for result in (kept, gone):
        result.get(timeout=TIMEOUT)
    wait_until(lambda: not fresh.lasting_keys(), TIMEOUT, "both are closed")
    store = engine_of(fresh.app).store
    sweeper = Sweeper(engine_of(fresh.app))
    sweeper.tidy(1.0)
    assert set(fresh.redis.zrange(store.keys.executions, 0, -1)) == {kept.id, gone.id}
    fresh.redis.delete(*store.keys.all_of(gone.id))
    sweeper.tidy(2.0)
    assert set(fresh.redis.zrange(store.keys.executions, 0, -1)) == {kept.id, gone.id}
    sweeper.tidy(1.0 + TIDY_INTERVAL)
    assert fresh.redis.zrange(store.keys.executions, 0, -1) == [kept.id]
    # Where many are gone, one look takes them all, or the index would grow faster than it forgets.
    fresh.redis.zadd(store.keys.executions, {f"gone{n}": n for n in range(5000)})
    sweeper.tidy(1.0 + 2 * TIDY_INTERVAL)
    assert fresh.redis.zrange(store.keys.executions, 0, -1) == [kept.id]

"""Many messages wait while workers are slow: the sweeper neither stands in the way nor makes the queue longer."""

from __future__ import annotations

import time

import pytest

from tests.chaos.plans import action
from tests.chaos.scene import Scene, scene_with
from tests.support import wait_until
from workflow_state.runtime.engine import Engine, engine_of
from workflow_state.runtime.sweeper import Sweeper
from workflow_state.runtime.turns import sending_until
from workflow_state.validation import prepare_plan

BOUND = 60.0
#: More executions than a sweeper looks at in a lease.
MANY = 600
PART = 10
scene = scene_with(lease=0.2, sweep_interval=0.1, part_size=PART)


@pytest.fixture
def engine(scene: Scene) -> Engine:
    """That of the client's side: what it starts is as if a worker had."""
    return engine_of(scene.app)


def work_elsewhere(engine: Engine, execution_id: str) -> None:
    """Start a plan whose one action waits in a queue that nobody takes from."""
    work = action("work", "chaos.work", queue="other", inputs={"number": 1, "pause": 1, "values": []})
    engine.accept(prepare_plan({"id": "waits", "actions": [work]}), execution_id, {}, keep=True)
    engine.advance(execution_id)


def look(scene: Scene, engine: Engine, times: int) -> None:
    """What a sweeper does when every deadline has passed, so many times."""
    for _ in range(times):
        scene.redis.zadd(f"{scene.prefix}:deadlines", dict.fromkeys(scene.deadlines(), 1))
        Sweeper(engine).sweep()


def check_copies(scene: Scene, engine: Engine, queue: str) -> None:
    """Of a message that waits in a queue there are ever fewer copies; when it is gone it is there again at once."""
    before = scene.redis.llen(queue)
    look(scene, engine, 9)
    # With the first look, the second, the fourth and the eighth.
    assert scene.redis.llen(queue) == before + 4
    scene.redis.delete(queue)
    look(scene, engine, 1)
    assert scene.redis.llen(queue) == 1


@pytest.mark.parametrize("outcome", ["lost", "retry"])
def test_a_long_queue_is_not_flooded_with_attempts(outcome: str, scene: Scene, engine: Engine) -> None:
    """The next attempt of an action, after a lost worker or a failure, waits longer than a lease in its queue."""
    work_elsewhere(engine, "waits")
    begun = engine.store.begin("waits", "work", 1, "a worker", 1, [])
    if outcome == "retry":
        engine.store.finish("waits", "work", begun.token, "retry", delay_ms=1, look_after_ms=1)
    check_copies(scene, engine, "other")


def test_each_loss_of_an_action_is_looked_at_anew(scene: Scene, engine: Engine) -> None:
    """An action is lost again after a copy of its message waited for long: the next is sent at the first look."""
    work_elsewhere(engine, "waits")
    for attempt in (1, 2):
        engine.store.begin("waits", "work", attempt, f"worker {attempt}", 1, [])
        ends = scene.record("waits", "work")["lease"]
        wait_until(lambda ends=ends: engine.store.now() > ends, 5, "the lease has ended")
        before = scene.redis.llen("other")
        look(scene, engine, 3)
        assert scene.redis.llen("other") == before + 2


def test_a_long_queue_is_not_flooded_with_ends(scene: Scene, engine: Engine) -> None:
    """The message that ends an execution waits longer than a lease in its queue."""
    work_elsewhere(engine, "waits")
    begun = engine.store.begin("waits", "work", 1, "a worker", 1, [])
    payload = engine.store.results.success("waits", "work", 1)
    engine.store.finish("waits", "work", begun.token, "completed", payload=payload, look_after_ms=1)
    engine.advance("waits")
    check_copies(scene, engine, "celery")


def test_a_worker_goes_on_working_when_there_is_more_to_look_at_than_a_lease_has_time_for(
    scene: Scene, engine: Engine
) -> None:
    """Hundreds of executions wait in a long queue, and each is due again before the last one was looked at: the
    worker takes messages all the same, and a new plan ends.
    """
    for number in range(MANY):
        work_elsewhere(engine, f"waits-{number}")
    with scene.fleet(1) as fleet:
        wait_until(lambda: scene.looks("waits-0") >= 2, 30, "the first one is looked at again")
        work = action("work", "chaos.work", inputs={"number": 1, "pause": 1, "values": []})
        state = scene.wait_closed(scene.start({"id": "new", "actions": [work]}), BOUND, fleet)
    assert state.status == "completed"


def test_a_wide_level_is_published_a_part_at_a_time(scene: Scene, engine: Engine) -> None:
    """What is left of a level is published for as long as a look has time, and one part at least; the rest is due at
    once. All of it in one look held up the worker's main loop: for ten seconds, of a hundred thousand actions.
    """
    work = {"inputs": {"number": 1, "pause": 1, "values": []}, "queue": "other"}
    wide = [action(f"a{n}", "chaos.work", **work) for n in range(5 * PART)]
    engine.accept(prepare_plan({"id": "wide", "actions": wide, "schedule": "levels"}), "wide", {}, keep=True)
    engine.advance("wide")
    assert scene.redis.llen("other") == PART
    scene.redis.zadd(f"{scene.prefix}:deadlines", dict.fromkeys(scene.deadlines(), 1))
    for parts in (2, 3, 4, 5):
        began = engine.store.now()
        with sending_until(time.monotonic()):
            assert Sweeper(engine).sweep() == 1, "it is due"
        assert scene.redis.llen("other") == parts * PART
    (due,) = scene.deadlines().values()
    assert due >= began + engine.settings.lease_ms, "all is published, and has a lease to begin"

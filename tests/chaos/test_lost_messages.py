"""Messages that are gone, and executions that are broken: the sweeper finds the ones and survives the others."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.fleet import Fleet
from tests.chaos.plans import SCHEDULES, action
from tests.chaos.scene import SERVER, Scene, scene_with
from tests.support import wait_until
from workflow_state.embedded import EmbeddedServer

BOUND = 60.0
QUICK = {"lease": 1.0, "sweep_interval": 0.25}
scene = scene_with(**QUICK)


@pytest.fixture
def fleet(scene: Scene) -> Iterator[Fleet]:
    """One worker, which takes nothing from the queue ``other``."""
    with scene.fleet(1) as found:
        yield found


def start_in_other_queue(scene: Scene, schedule: str) -> str:
    """A plan of one action whose message waits in a queue that nobody takes from."""
    work = action("work", "chaos.work", queue="other", inputs={"number": 1, "pause": 1, "values": []})
    execution_id = scene.start({"id": "lost", "schedule": schedule, "actions": [work]})
    # Where this process sleeps for a second, a copy is there, too.
    wait_until(lambda: scene.redis.llen("other"), 20, "the action is published")
    return execution_id


def check_ran_once(scene: Scene, execution_id: str, fleet: Fleet) -> None:
    """The plan completes, and its action ran once."""
    state = scene.wait_closed(execution_id, BOUND, fleet)
    assert (state.status, state.action_states["work"].attempts) == ("completed", 1)
    assert len(scene.journal.starts(execution_id, "work")) == 1
    scene.check_clean(execution_id)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_lost_message_is_sent_again(schedule: str, scene: Scene, fleet: Fleet) -> None:
    """The message of an action that has not begun is gone, and its queue is empty: it is sent again."""
    execution_id = start_in_other_queue(scene, schedule)
    scene.redis.delete("other")
    wait_until(lambda: scene.redis.llen("other"), 10, "the message is there again")
    fleet.add("--queues", "other")
    check_ran_once(scene, execution_id, fleet)


def test_a_stored_execution_starts_without_its_message(scene: Scene) -> None:
    """Redis has handed it to a connection that broke: what ``initialize_state`` has stored starts all the same."""
    work = action("work", "chaos.work", inputs={"number": 1, "pause": 1, "values": []})
    execution_id = scene.manager.initialize_state({"id": "stored", "actions": [work]}).id
    assert scene.redis.delete(scene.app.conf.task_default_queue) == 1
    with scene.fleet(1) as fleet:
        check_ran_once(scene, execution_id, fleet)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_message_lost_in_a_queue_that_is_never_empty_is_sent_again(schedule: str, scene: Scene, fleet: Fleet) -> None:
    """The message is gone from a queue that holds others, where it might just be waiting: the queue is not
    flooded with copies, and the action runs all the same, without the queue having to run empty.
    """
    execution_id = start_in_other_queue(scene, schedule)
    for _ in range(50):
        scene.app.send_task("chaos.follow", ("others",), queue="other")
    assert execution_id in scene.redis.rpop("other")

    def few_copies() -> bool:
        # One for the first look, the second, the fourth and so on: ever fewer.
        looks = scene.looks(execution_id)
        return looks >= 5 and scene.redis.llen("other") == 50 + looks.bit_length()

    wait_until(few_copies, 30, "five looks of the sweeper, and three copies")
    fleet.add("--queues", "other")
    others = 50

    def has_run_behind_others() -> bool:
        # A queue that is empty for the moment in which the action's message was taken is one that lost it.
        nonlocal others
        if scene.redis.llen("other") < 300:
            for _ in range(50):
                scene.app.send_task("chaos.follow", ("others",), queue="other")
            others += 50
        return bool(scene.journal.starts(execution_id, "work"))

    wait_until(has_run_behind_others, BOUND, "the action runs")
    check_ran_once(scene, execution_id, fleet)
    wait_until(lambda: len(scene.journal.starts("others")) == others, BOUND, "all others have run")
    assert not fleet.lines("lost messages sent again")


def test_a_broken_execution_does_not_keep_the_sweeper_from_others(scene: Scene, fleet: Fleet) -> None:
    """Records that cannot be read, due together with others and first in their order: after a time without any
    worker, the others are recovered all the same.
    """
    work = action("work", "chaos.wait", inputs={"gate": str(scene.gate())})
    execution_id = scene.start({"id": "whole", "actions": [work]})
    scene.wait_started(execution_id, "work")
    fleet.abandon()
    fleet.workers[0].signal(signal.SIGKILL)
    due = max(scene.deadlines().values()) / 1000
    wait_until(lambda: scene.redis.time()[0] > due + 1, 20, "every deadline has passed")

    broken: dict[str, Any] = {"status": "running", "cursor": 0, "open": 1, "failed": 0, "skipped": 0, "version": 1}
    broken["created_at"] = 1
    scene.redis.hset(f"{scene.prefix}:{{-broken}}:execution", mapping=broken)
    scene.redis.set(f"{scene.prefix}:{{-broken}}:program", "no program")
    scene.redis.zadd(f"{scene.prefix}:deadlines", {"-broken|": 1, "-broken|action": 1})
    fleet.add()
    scene.wait_started(execution_id, "work", times=2)
    assert any("-broken" in line for line in fleet.lines("could not be looked after"))


def test_a_broker_that_is_away_when_a_plan_ends_is_waited_for(tmp_path: Path) -> None:
    """The broker, apart from the server of the results, goes just when a task is to follow the plan: nobody is
    told that the execution failed, and when the broker is back the task runs.
    """
    with EmbeddedServer(data_dir=tmp_path / "broker", settings=SERVER) as broker:
        conf: dict[str, Any] = {"workflow_state": QUICK, "broker_url": broker.url}
        with Scene(tmp_path / "scene", **conf) as scene, scene.fleet() as fleet:
            scene.arm("ending", "server")
            work = action("work", "chaos.work", inputs={"number": 1, "pause": 1, "values": []})
            execute_plan = scene.app.tasks["workflow_state.execute_plan"]
            link = scene.app.signature("chaos.follow", args=("plan",), immutable=True)
            execution_id = execute_plan.apply_async(({"id": "linked", "actions": [work]},), link=link).id
            wait_until(lambda: scene.sprung and not broker.running, 30, "the broker is gone")
            wait_until(lambda: fleet.lines("reject requeue=True"), 30, "the end was put off")
            assert scene.result(execution_id).state == "PENDING"
            broker.start()
            check_ran_once(scene, execution_id, fleet)
            wait_until(lambda: scene.journal.starts("plan", "follow"), 20, "the task that follows has run")

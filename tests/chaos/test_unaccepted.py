"""Plans that were sent and that no worker has accepted: none is lost, and none is sent that is not to run."""

from __future__ import annotations

import json
import signal
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult
from kombu.entity import Queue
from kombu.exceptions import OperationalError

from tests.chaos.fleet import Fleet
from tests.chaos.plans import action
from tests.chaos.scene import Scene, scene_with
from tests.support import wait_until
from workflow_state import PlanValidationError

BOUND = 60.0
QUICK = {"lease": 1.0, "sweep_interval": 0.25}
AGAIN = "plan sent again that no worker has accepted"
scene = scene_with(**QUICK)


def plan_of_one(name: str = "sent") -> dict[str, Any]:
    return {"id": name, "actions": [action("work", "chaos.work", inputs={"number": 1, "pause": 1, "values": []})]}


def send(scene: Scene, **options: Any) -> AsyncResult:
    return scene.app.tasks["workflow_state.execute_plan"].apply_async((plan_of_one(),), **options)


def kept(scene: Scene, execution_id: str) -> dict[str, str]:
    """What is kept of a message."""
    return scene.redis.hgetall(f"{scene.prefix}:{{{execution_id}}}:sent")


def lose(scene: Scene, queue: str = "celery") -> None:
    """Redis has handed all that waits to a connection that broke."""
    assert scene.redis.delete(queue) == 1


def check_ran_once(scene: Scene, execution_id: str, fleet: Fleet) -> None:
    state = scene.wait_closed(execution_id, BOUND, fleet)
    assert (state.status, state.action_states["work"].attempts) == ("completed", 1)
    assert len(scene.journal.starts(execution_id, "work")) == 1
    assert kept(scene, execution_id) == {}
    scene.check_clean(execution_id)


def test_no_plan_is_lost_with_the_workers_that_take_them(scene: Scene) -> None:
    """A worker with a queue of plans before it is killed, again and again: each plan completes, and long before the
    broker gives back what the dead had taken.
    """
    with scene.fleet(1) as fleet:
        sent = [scene.start(plan_of_one(f"plan {number}")) for number in range(60)]
        for kill, done in enumerate((5, 20, 35), 1):
            wait_until(lambda done=done: sum(map(scene.closed, sent)) >= done, BOUND, f"{done} have ended")
            fleet.workers[0].signal(signal.SIGKILL)
            wait_until(lambda kill=kill: fleet.restarts == kill, BOUND, "it was started again")
        for execution_id in sent:
            assert scene.wait_closed(execution_id, BOUND, fleet).status == "completed"
        for execution_id in sent:
            scene.check_clean(execution_id)


def test_a_lost_message_is_sent_again_with_all_that_it_carried(scene: Scene) -> None:
    """What follows the plan follows it, the id is the same, and it goes to the queue that it was sent to."""
    link = scene.app.signature("chaos.follow", args=("linked",), immutable=True)
    after = scene.app.signature("chaos.follow", args=("chained",), immutable=True)
    first = scene.app.tasks["workflow_state.execute_plan"].si(plan_of_one())
    execution_id = (first.set(queue="other", expires=600, link=link) | after).apply_async().parent.id
    lose(scene, "other")
    with scene.fleet(1) as fleet:
        wait_until(lambda: scene.redis.llen("other"), 20, "the message is there again")
        fleet.add("--queues", "other,celery")
        check_ran_once(scene, execution_id, fleet)
        for name in ("linked", "chained"):
            wait_until(lambda name=name: scene.journal.starts(name, "follow"), 20, f"what was {name} has run")


def test_a_queue_that_is_not_empty_is_not_flooded(scene: Scene) -> None:
    """Where others wait, the plan may just be waiting too: a copy is sent when it was looked for several times, and
    ever less often. When its turn comes it runs once.
    """
    with scene.fleet(1) as fleet:
        for _ in range(5):
            scene.app.send_task("chaos.follow", ("others",), queue="other")
        execution_id = send(scene, queue="other").id

        def looks() -> int:
            return int(kept(scene, execution_id).get("looks", 0))

        def looked_for_often() -> bool:
            before, waiting, after = looks(), scene.redis.llen("other"), looks()
            # None at the first two looks and one at each that follows, the last of which may be on its way.
            assert max(0, before - 3) <= waiting - 6 <= max(0, after - 2)
            return before >= 4

        wait_until(looked_for_often, 30, "four looks of the sweeper")
        fleet.add("--queues", "other")
        check_ran_once(scene, execution_id, fleet)


def test_a_plan_that_is_to_start_later_is_not_looked_for_before(scene: Scene) -> None:
    """Not with a countdown, nor with a time; a queue may be an object."""
    queue = Queue("other", routing_key="other")
    for options in ({"countdown": 600}, {"eta": scene.app.now() + timedelta(seconds=600)}):
        execution_id = send(scene, queue=queue, **options).id
        seconds, _ = scene.redis.time()
        due = scene.deadlines()[f"{execution_id}|"] / 1000
        assert 595 < due - seconds < 605
        _, _, carried = json.loads(kept(scene, execution_id)["message"])
        assert (carried["queue"], carried.keys() & options.keys()) == ("other", set())
        assert scene.redis.ttl(f"{scene.prefix}:{{{execution_id}}}:sent") > 600


def test_what_was_revoked_or_has_expired_is_not_sent_again(tmp_path: Path) -> None:
    """Its result says so; the sweeper lets go of it."""
    # Time enough for a slow worker to take it before the sweeper looks.
    settings = {**QUICK, "lease": 5.0}
    with Scene(tmp_path / "scene", workflow_state=settings) as scene, scene.fleet(1) as fleet:
        name = str(uuid.uuid4())
        scene.app.control.revoke(name)
        wait_until(lambda: fleet.lines(f"flagged as revoked: {name}"), 20, "the worker knows of it")
        past = scene.app.now() - timedelta(seconds=1)
        for result in (send(scene, task_id=name, countdown=1), send(scene, expires=past)):
            with pytest.raises(TaskRevokedError):
                result.get(timeout=30)
            wait_until(lambda result=result: kept(scene, result.id) == {}, 30, "nothing is kept of it")
        wait_until(lambda: not scene.deadlines(), 30, "nothing is looked after")
        assert not fleet.lines(AGAIN)


def test_a_plan_that_a_worker_refuses_is_not_sent_again(tmp_path: Path) -> None:
    """Its result is the refusal: who sent it had something else to do than to look whether it is one."""
    # Time enough for a slow worker to start before the sweeper looks.
    with Scene(tmp_path / "scene", workflow_state={**QUICK, "lease": 60.0}) as scene:
        task = scene.app.tasks["workflow_state.execute_plan"]
        result = task.apply_async(("no plan",), parent_id=str(uuid.uuid4()))
        assert "message" in kept(scene, result.id)
        with scene.fleet(1) as fleet:
            with pytest.raises(PlanValidationError, match="not JSON"):
                result.get(timeout=30)
            wait_until(lambda: not (kept(scene, result.id) or scene.deadlines()), 30, "nothing is kept or looked after")
            assert not fleet.lines(AGAIN)


def test_what_could_not_be_sent_is_not_sent_later(tmp_path: Path) -> None:
    """Who is told that sending has failed may send it anew: the broker is away, and the results' server is not."""
    conf: dict[str, Any] = {"workflow_state": QUICK, "broker_url": "redis://127.0.0.1:1/0"}
    with Scene(tmp_path / "scene", **conf) as scene:
        with pytest.raises(OperationalError, match="may have been sent"):
            send(scene, retry=False)
        assert list(scene.redis.scan_iter(f"{scene.prefix}:*:sent")) == []

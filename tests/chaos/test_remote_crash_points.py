"""SIGKILL where a remote service has been asked, and where events have been sent: nothing is lost or done twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.fleet import Fleet
from tests.chaos.plans import QUICK, action
from tests.chaos.scene import SERVER, Scene
from tests.support import wait_until
from workflow_state import Event, EventListener, RemoteExecutor
from workflow_state.embedded import EmbeddedServer

BOUND = 60.0
SETTINGS = {"lease": 1.0, "sweep_interval": 0.25, "events": True}
REMOTE_POINTS = ("requested", "events sent")


class Outside:
    """A service and a listener in this process; what they were asked and told."""

    def __init__(self, scene: Scene) -> None:
        self.keys: list[str] = []
        self.events: list[Event] = []
        self.executor = RemoteExecutor(scene.app, queue="chaos-service")
        self.executor.action("chaos.remote")(self.carry_out)
        self.listener = EventListener(scene.app, queue="chaos-listener")
        self.listener.on("*")(self.events.append)

    def carry_out(self, number: int) -> int:
        """Twice the number."""
        self.keys.append(str(number))
        return number * 2

    def numbers(self, execution_id: str) -> set[int]:
        """Which events of an execution have come."""
        return {event.sequence for event in self.events if event.execution_id == execution_id}


@contextmanager
def running(outside: Outside) -> Iterator[Outside]:
    """Both run in threads for as long as the block lasts; their queues gather from its beginning on."""
    both = (outside.executor, outside.listener)
    for one in both:
        one.declare()
    threads = [threading.Thread(target=one.run, daemon=True) for one in both]
    for thread in threads:
        thread.start()
    try:
        yield outside
    finally:
        for one in both:
            one.stop()
        for thread in threads:
            thread.join(BOUND)


@pytest.fixture(scope="module")
def outside(scene: Scene) -> Iterator[Outside]:
    """A service and a listener beside the workers."""
    with running(Outside(scene)) as found:
        yield found


def make_plan(**fields: Any) -> dict[str, Any]:
    """A local action, a remote one on it, with more ``fields``, and one that reads the answer."""
    first = action("first", "chaos.work", inputs={"number": 1, "pause": 5, "values": []})
    asked = action("asked", "chaos.remote", "first", inputs={"number": 21}, retry=QUICK, **fields)
    last = action("last", "chaos.work", "asked", inputs={"number": 2, "pause": 5, "values": ["${asked.output}"]})
    return {"id": "remote", "actions": [first, asked, last]}


@pytest.mark.parametrize("schedule", ["levels", "dataflow"])
@pytest.mark.parametrize("victim", ["process", "worker"])
@pytest.mark.parametrize("point", REMOTE_POINTS)
def test_a_crash_is_recovered_and_every_event_comes(
    point: str, victim: str, schedule: str, scene: Scene, fleet: Fleet, outside: Outside
) -> None:
    """The process that reaches the point dies, or its whole worker: the plan completes, each result is recorded
    once, and a listener gets every event of the history, some perhaps twice.
    """
    scene.arm(point, victim)
    execution_id = scene.start(make_plan() | {"schedule": schedule})
    state = scene.wait_closed(execution_id, BOUND, fleet)
    assert scene.sprung, f"no process reached {point!r}"
    assert state.action_states["asked"].result.output == 42
    scene.check_clean(execution_id)
    wanted = {event.sequence for event in scene.manager.history(execution_id)}
    wait_until(lambda: outside.numbers(execution_id) == wanted, BOUND, "every event has come")


def test_a_server_that_goes_is_waited_for(scene: Scene, fleet: Fleet, outside: Outside) -> None:
    """The server is killed after a service was asked: when it is back, request and answer go on.

    A message that was on its way from the server to a listener in that moment is lost with it, as Redis hands it
    out before it can be noted: an attempt that is not answered is made again, and a listener sees the gap.
    """
    scene.arm("requested", "server")
    execution_id = scene.start(make_plan(timeout=3000))
    scene.end_outage("server", BOUND)
    state = scene.wait_closed(execution_id, BOUND, fleet)
    assert state.action_states["asked"].result.output == 42
    scene.check_clean(execution_id)


def test_a_broker_that_is_away_when_a_service_is_to_be_asked_is_waited_for(tmp_path: Path) -> None:
    """The broker, apart from the results, goes when an action is about to be asked for: the request is sent when it is
    back. No attempt has failed, of which this action has just one.
    """
    with EmbeddedServer(data_dir=tmp_path / "broker", settings=SERVER) as broker:
        conf: dict[str, Any] = {"workflow_state": SETTINGS, "broker_url": broker.url}
        with Scene(tmp_path / "scene", **conf) as scene, scene.fleet() as fleet, running(Outside(scene)) as outside:
            scene.arm("before user code", "server")
            once = action("asked", "chaos.remote", inputs={"number": 21}, retry={"max_attempts": 1})
            execution_id = scene.start({"id": "once", "actions": [once]})
            wait_until(lambda: scene.sprung and not broker.running, 30, "the broker is gone")
            wait_until(lambda: fleet.lines("broker away, request to be sent again"), 30, "it is waited for")
            broker.start()
            found = scene.wait_closed(execution_id, BOUND, fleet).action_states["asked"]
            assert (found.result.output, found.attempts, outside.keys) == (42, 1, ["21"])
            scene.check_clean(execution_id)

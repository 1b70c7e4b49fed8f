"""Two applications on one server, told apart by their prefixes: neither touches what is the other's."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.plans import action, layered, outcome
from tests.chaos.scene import Scene
from tests.support import wait_until
from workflow_state.testing import run_plan

BOUND = 60.0
QUICK = {"lease": 1.0, "sweep_interval": 0.25}
#: How the brokers of the two are told apart; the library's records always are, by ``prefix``.
APART: dict[str, dict[str, dict[str, Any]]] = {
    "queues": {"one": {"task_default_queue": "one"}, "two": {"task_default_queue": "two"}},
    "key prefixes": {
        name: {
            "broker_transport_options": {"global_keyprefix": f"{name}."},
            "result_backend_transport_options": {"global_keyprefix": f"{name}."},
        }
        for name in ("one", "two")
    },
}


@pytest.mark.parametrize("apart", ["queues", pytest.param("key prefixes", marks=pytest.mark.long)])
def test_two_prefixes_on_one_server_do_not_interfere(apart: str, tmp_path: Path) -> None:
    """Two apps, each with its workers and sweepers, on one database. What one lost with its only worker stays
    as it is however long the other's sweepers look, which meanwhile recover what is theirs; when the first
    has a worker again it recovers too. The results of both are right, each recorded once.
    """
    conf = {name: {**APART[apart][name], "workflow_state": {**QUICK, "prefix": name}} for name in ("one", "two")}
    plan = layered(3, 20)
    mortal = {"id": "mortal", "actions": [action("die", "chaos.die", inputs={"times": 2})]}
    with (
        Scene(tmp_path / "one", **conf["one"]) as one,
        Scene(tmp_path / "two", server=one.server, **conf["two"]) as two,
    ):
        gate = one.gate()
        with one.fleet(1) as ones, two.fleet(1) as twos:
            waiting = one.start({"id": "wait", "actions": [action("wait", "chaos.wait", inputs={"gate": str(gate)})]})
            one.wait_started(waiting, "wait")
            ones.abandon()
            ones.workers[0].signal(signal.SIGKILL)
            theirs = one.stored(waiting)
            due = max(one.deadlines().values()) / 1000
            wait_until(lambda: one.redis.time()[0] > due + 1, 20, "every deadline of the first has passed")

            recovered = two.wait_closed(two.start(mortal), BOUND, twos)
            assert [a.outcome for a in recovered.action_states["die"].trace] == ["lost", "lost", "completed"]
            assert one.stored(waiting) == theirs
            assert not twos.lines(waiting)

            gate.touch()
            ones.add()
            assert one.wait_closed(waiting, BOUND, ones).action_states["wait"].attempts == 2
            runs = [(scene, scene.start(plan), fleet) for scene, fleet in ((one, ones), (two, twos))]
            for scene, execution_id, fleet in runs:
                assert outcome(scene.wait_closed(execution_id, BOUND, fleet)) == outcome(run_plan(plan))
                scene.check_clean(execution_id)
            assert not twos.lines(runs[0][1])
            assert not ones.lines(runs[1][1])

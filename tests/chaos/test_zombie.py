"""A worker that was only asleep: what it does after its lease went to another changes nothing."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.chaos.plans import action
from tests.chaos.scene import Scene
from tests.support import wait_until

BOUND = 60.0
SETTINGS = {"lease": 1.0, "sweep_interval": 0.25}


def test_a_zombie_is_refused(tmp_path: Path) -> None:
    """A worker is stopped (SIGSTOP, main process and child) in the middle of an action, past its lease; another
    takes the action over and completes it; then the first goes on (SIGCONT) and ends it too. Its write is
    refused, which its log says; record and result stay as they are, and the result was recorded once.
    """
    with Scene(tmp_path / "scene", workflow_state=SETTINGS) as scene, scene.fleet(1, concurrency=1) as fleet:
        zombie = fleet.workers[0]
        gate = scene.gate()
        wait = action("wait", "chaos.wait", inputs={"gate": str(gate)})
        after = action(
            "after", "chaos.work", "wait", inputs={"number": 1, "pause": 1, "values": ["${wait.output.pid}"]}
        )
        execution_id = scene.start({"id": "zombie", "actions": [wait, after]})
        sleeper = scene.wait_started(execution_id, "wait")
        zombie.signal(signal.SIGSTOP)
        fleet.add()
        successor = scene.wait_started(execution_id, "wait", times=2)
        gate.touch()
        state = scene.wait_closed(execution_id, BOUND, fleet)
        record = scene.record(execution_id, "wait")
        result = scene.result(execution_id).result

        zombie.signal(signal.SIGCONT)
        refused = wait_until(
            lambda: [line for line in zombie.output.splitlines() if "result refused" in line], 20, "the refusal"
        )

        assert execution_id in refused[0]
        assert "action_id='wait'" in refused[0]
        ends = [line.pid for line in scene.journal.lines(execution_id, "wait") if line.what == "end"]
        assert sorted(ends) == sorted([sleeper, successor])
        assert state.action_states["wait"].result.model_dump()["output"] == {"pid": successor, "attempt": 2}
        assert [attempt.outcome for attempt in state.action_states["wait"].trace] == ["lost", "completed"]
        assert scene.record(execution_id, "wait") == record
        assert scene.state(execution_id) == state
        assert scene.result(execution_id).result == result
        scene.check_clean(execution_id)

"""A worker that was only asleep: what it does after its lease went to another changes nothing."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.plans import action
from tests.chaos.scene import Scene
from tests.support import wait_until

BOUND = 60.0
SETTINGS = {"lease": 1.0, "sweep_interval": 0.25}


@pytest.mark.parametrize("successor_has_ended", [True, False], ids=["after it", "during it"])
def test_a_zombie_is_refused(successor_has_ended: bool, tmp_path: Path) -> None:
    """A worker is stopped (SIGSTOP, main process and child) in the middle of an action, past its lease, and
    another takes the action over. Then the first goes on (SIGCONT) and ends the action too, after the other has
    ended it, or while the other is still at it: its write is refused, which its log says, and record, result and
    state stay as they are. The result is the other's, recorded once.
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
        if successor_has_ended:
            Path(f"{gate}.2").touch()
            scene.wait_closed(execution_id, BOUND, fleet)
        before = what_counts(scene, execution_id)

        Path(f"{gate}.1").touch()
        zombie.signal(signal.SIGCONT)
        refused = wait_until(
            lambda: [line for line in zombie.output.splitlines() if "result refused" in line], 20, "the refusal"
        )
        assert execution_id in refused[0]
        assert "action_id='wait'" in refused[0]
        assert what_counts(scene, execution_id) == before

        Path(f"{gate}.2").touch()
        state = scene.wait_closed(execution_id, BOUND, fleet)
        ends = [line.pid for line in scene.journal.lines(execution_id, "wait") if line.what == "end"]
        assert ends == ([successor, sleeper] if successor_has_ended else [sleeper, successor])
        assert state.action_states["wait"].result.model_dump()["output"] == {"pid": successor, "attempt": 2}
        assert [attempt.outcome for attempt in state.action_states["wait"].trace] == ["lost", "completed"]
        scene.check_clean(execution_id)


def test_a_zombie_is_refused_by_the_next_execution_of_its_id(tmp_path: Path) -> None:
    """A worker sleeps in the middle of an action until its execution has ended and was deleted, and the id is in use
    again: the same action runs there, under a token of the same number. What the sleeper brings is refused, and the
    action keeps its own result.
    """
    with Scene(tmp_path / "scene", workflow_state=SETTINGS) as scene, scene.fleet(1, concurrency=1) as fleet:
        zombie = fleet.workers[0]
        old, new = scene.gate(), tmp_path / "new"
        execution_id = scene.start({"actions": [action("wait", "chaos.wait", inputs={"gate": str(old)})]}, "again")
        scene.wait_started(execution_id, "wait")
        zombie.signal(signal.SIGSTOP)
        fleet.add()
        successor = scene.wait_started(execution_id, "wait", times=2)
        Path(f"{old}.2").touch()
        scene.wait_closed(execution_id, BOUND, fleet)
        assert scene.manager.delete(execution_id)
        scene.start({"actions": [action("wait", "chaos.wait", inputs={"gate": str(new)})]}, execution_id)
        assert scene.wait_started(execution_id, "wait", times=3) == successor
        before = what_counts(scene, execution_id)

        Path(f"{old}.1").touch()
        zombie.signal(signal.SIGCONT)
        wait_until(lambda: "result refused" in zombie.output, 20, "the refusal")
        assert what_counts(scene, execution_id) == before
        new.touch()
        state = scene.wait_closed(execution_id, BOUND, fleet)
        assert state.action_states["wait"].result.model_dump()["output"] == {"pid": successor, "attempt": 1}


def what_counts(scene: Scene, execution_id: str) -> Any:
    """Everything stored, without what the successor's heartbeats change: its lease."""
    stored = scene.stored(execution_id)
    actions = next(stored.pop(key) for key in list(stored) if key.endswith(":actions"))
    records = {name: {**json.loads(raw), "lease": None} for name, raw in actions.items()}
    return stored | {"deadlines": set(stored["deadlines"]), "records": records}

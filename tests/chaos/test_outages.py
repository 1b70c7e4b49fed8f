"""Long actions, lost workers, a server that is away or full: what each costs, and that nothing is lost."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.plans import action, layered, outcome
from tests.chaos.scene import Scene
from tests.support import alive, wait_until
from workflow_state import ExecutionState, action_task_id
from workflow_state.runtime.engine import engine_of
from workflow_state.testing import run_plan

BOUND = 90.0
QUICK = {"lease": 1.0, "sweep_interval": 0.25}


def waiting_plan(gate: Path, width: int = 4) -> dict[str, Any]:
    """``width`` actions that wait for the same gate, and one that reads them all."""
    names = [f"wait{n}" for n in range(width)]
    waits = [action(name, "chaos.wait", inputs={"gate": str(gate)}) for name in names]
    values = [f"${{{name}.output.attempt}}" for name in names]
    join = action("join", "chaos.work", *names, inputs={"number": 1, "pause": 1, "values": values})
    return {"id": "waiting", "actions": [*waits, join]}


def attempts(state: ExecutionState) -> dict[str, int]:
    """Action id → how often it was begun."""
    return {name: found.attempts for name, found in state.action_states.items()}


def test_a_long_action_runs_once_under_a_short_visibility_timeout(long: bool, tmp_path: Path) -> None:
    """An action of 20 s under ``visibility_timeout=5`` (short form: 8 s under 2) is delivered again and again
    by the broker, and runs once: its lease, which is renewed, is what counts.
    """
    seconds, visible = (20, 5) if long else (8, 2)
    transport = {"visibility_timeout": visible, "unacked_restore_interval": 1}
    with Scene(tmp_path / "s", workflow_state=QUICK, broker_transport_options=transport) as scene:
        with scene.fleet() as fleet:
            plan = {"id": "long", "actions": [action("last", "chaos.last", inputs={"seconds": seconds})]}
            execution_id = scene.start(plan)
            state = scene.wait_closed(execution_id, seconds + 30, fleet)
            # Received at least twice, or the test has shown nothing.
            assert len(fleet.lines("Task long/last[")) >= 2
        assert len(scene.journal.starts(execution_id)) == 1
        assert (state.status, attempts(state)) == ("completed", {"last": 1})


def test_recovery_after_the_loss_of_the_only_worker(tmp_path: Path) -> None:
    """``kill -9`` of the only worker, main process and children, in the middle of an action; a new one is
    started: the action runs again within the lease and 5 s, whatever the visibility timeout (an hour).
    """
    lease = 3.0
    with Scene(tmp_path / "s", workflow_state={"lease": lease}) as scene, scene.fleet(1) as fleet:
        gate = scene.gate()
        execution_id = scene.start(waiting_plan(gate, width=2))
        scene.wait_started(execution_id, "wait0")
        scene.wait_started(execution_id, "wait1")
        fleet.abandon()
        fleet.workers[0].signal(signal.SIGKILL)
        killed = time.monotonic()
        fleet.add()
        for name in ("wait0", "wait1"):
            scene.wait_started(execution_id, name, times=2)
        assert time.monotonic() - killed <= lease + 5
        gate.touch()
        state = scene.wait_closed(execution_id, BOUND, fleet)
        assert (state.status, attempts(state)) == ("completed", {"wait0": 2, "wait1": 2, "join": 1})


def test_server_away_while_actions_end(long: bool, tmp_path: Path) -> None:
    """The server is gone for 20 s (short form: 5 s) while actions end: finished work is not turned into a
    failure, and not done again while its worker lives; the plan completes. Reading answers of remote services ends
    and begins with the connection, without an error of its own.
    """
    away = 20.0 if long else 5.0
    # The lease outlives the outage: what is shown is that the workers hold on to their results.
    with Scene(tmp_path / "s", workflow_state={"lease": 60.0}) as scene, scene.fleet() as fleet:
        gate = scene.gate()
        execution_id = scene.start(waiting_plan(gate))
        wait_until(lambda: len(scene.journal.starts(execution_id)) == 4, 20, "all four run")
        scene.server.kill()
        back = time.monotonic() + away
        gate.touch()
        wait_until(lambda: time.monotonic() > back, away + 10, "the outage is over")
        assert len([line for line in scene.journal.lines(execution_id) if line.what == "end"]) == 4
        scene.server.start()
        state = scene.wait_closed(execution_id, BOUND, fleet)
        assert state.status == "completed"
        assert state.metrics.completed_actions == 5
        assert all(found.error is None for found in state.action_states.values())
        assert fleet.lines("AnswersStep") == []
        scene.check_clean(execution_id)
        assert set(attempts(state).values()) == {1}


@pytest.mark.parametrize("how", ["connections dropped", "server restarted"])
def test_a_plan_goes_on_after_a_break(how: str, tmp_path: Path) -> None:
    """In the middle of a plan every connection is dropped (CLIENT KILL), or the server restarts with its
    append-only file; twice. The plan ends as if nothing had happened, and no attempt is lost: no worker was.
    """
    plan = layered(4, 20)
    with Scene(tmp_path / "s", workflow_state={"lease": 20.0}) as scene, scene.fleet() as fleet:
        execution_id = scene.start(plan)
        for ended in (20, 50):
            wait_until(lambda n=ended: ends(scene, execution_id) >= n, 60, f"{ended} actions have ended")
            if how == "connections dropped":
                scene.redis.execute_command("CLIENT KILL TYPE normal SKIPME yes")
            else:
                scene.server.restart()
        state = scene.wait_closed(execution_id, BOUND, fleet)
        assert outcome(state) == outcome(run_plan(plan))
        scene.check_clean(execution_id)
        assert lost(state) == []


def test_a_failure_on_record_stays_when_a_drop_ends_its_task(tmp_path: Path) -> None:
    """Workers are set to end their tasks when they lose the connection, and one does just when an action has failed:
    whoever asks for the action's result finds the failure, then and when the plan has ended.
    """
    conf = {"workflow_state": QUICK, "worker_cancel_long_running_tasks_on_connection_loss": True}
    with Scene(tmp_path / "scene", **conf) as scene, scene.fleet(1) as fleet:
        scene.arm("recorded", "connections")
        after = action("after", "chaos.work", "bad", inputs={"number": 1, "pause": 1, "values": []})
        failing = action("bad", "chaos.fail", inputs={"number": 1})
        execution_id = scene.start({"id": "drop", "actions": [failing, after]})
        state = scene.wait_closed(execution_id, BOUND, fleet)
        assert scene.sprung
        assert state.action_states["bad"].status == "failed"
        assert scene.result(action_task_id(execution_id, "bad")).state == "FAILURE"
        assert scene.results_recorded(execution_id)["bad"] == ["FAILURE"]


def test_a_full_server_refuses_whole_writes(tmp_path: Path) -> None:
    """``maxmemory`` is reached under ``noeviction`` when actions end: the write is refused, which the log says,
    and nothing of it is there: no result, no changed record, no counter. When memory is given back the same
    results are written, nothing is run again, and the plan goes on.
    """
    with Scene(tmp_path / "s", workflow_state={"lease": 60.0}) as scene, scene.fleet() as fleet:
        gate = scene.gate()
        execution_id = scene.start(waiting_plan(gate))
        wait_until(lambda: len(scene.journal.starts(execution_id)) == 4, 20, "all four run")
        scene.redis.config_set("maxmemory-policy", "noeviction")
        scene.redis.config_set("maxmemory", "1mb")
        before = scene.stored(execution_id)
        gate.touch()
        wait_until(lambda: len(fleet.lines("does not write now")) >= 4, 20, "every write was refused")
        assert ends(scene, execution_id) == 4
        assert all("maxmemory" in line for line in fleet.lines("does not write now"))
        assert scene.stored(execution_id) == before
        scene.redis.config_set("maxmemory", 0)
        state = scene.wait_closed(execution_id, BOUND, fleet)
        assert (state.status, set(attempts(state).values())) == ("completed", {1})
        scene.check_clean(execution_id)


def test_the_result_of_an_execution_driven_by_hand_waits_for_a_full_server(tmp_path: Path) -> None:
    """The server is full just when the result of an execution that no worker drives is to be stored: it is stored when
    there is memory again, as all else is, and who records the last result gets no error.
    """
    with Scene(tmp_path / "s") as scene:
        store = engine_of(scene.app).store
        scene.redis.config_set("maxmemory", "1mb")
        given_back = threading.Timer(0.5, scene.redis.config_set, ("maxmemory", 0))
        given_back.start()
        store.put_final("by-hand", store.results.final("by-hand", {"status": "completed"}, None))
        given_back.join()
        assert scene.result("by-hand").state == "SUCCESS"


def test_an_action_that_kills_its_workers_fails_alone(tmp_path: Path) -> None:
    """An action whose code takes its process down each time fails with ``worker_lost`` after ``max_lost``
    losses; the plan goes on by its policy: ``continue_on_failure`` lets its dependents run.
    """
    with Scene(tmp_path / "s", workflow_state={**QUICK, "max_lost": 2}) as scene, scene.fleet() as fleet:
        poison = action("poison", "chaos.die", inputs={"times": 99}, error_handling={"continue_on_failure": True})
        beside = action("beside", "chaos.work", inputs={"number": 1, "pause": 5, "values": []})
        after = action(
            "after", "chaos.work", "poison", "beside", inputs={"number": 2, "pause": 5, "values": ["${poison.status}"]}
        )
        execution_id = scene.start({"id": "poison", "actions": [poison, beside, after]})
        state = scene.wait_closed(execution_id, BOUND, fleet)
        found = state.action_states["poison"]
        assert (found.status, found.error.category, found.error.retryable) == ("failed", "worker_lost", False)
        assert [attempt.outcome for attempt in found.trace] == ["lost", "lost", "failed"]
        assert len(scene.journal.starts(execution_id, "poison")) == 2
        assert (state.status, state.metrics.failed_actions, state.metrics.completed_actions) == ("completed", 1, 2)
        scene.check_clean(execution_id)


@pytest.mark.long
def test_a_hard_timeout_while_the_server_is_away(tmp_path: Path) -> None:
    """An action that does not heed its timeout is ended by its worker, also while the server is away; the attempt
    cannot be recorded then and counts as lost, and the next one is made.
    """
    with Scene(tmp_path / "s", workflow_state=QUICK) as scene, scene.fleet() as fleet:
        stubborn = action("stubborn", "chaos.stubborn", inputs={"seconds": 60}, timeout=1000)
        execution_id = scene.start({"id": "stubborn", "actions": [stubborn]})
        child = scene.wait_started(execution_id, "stubborn")
        soft = wait_until(lambda: fleet.lines("Soft time limit"), 20, "the soft limit")
        scene.server.kill()
        wait_until(lambda: not alive(child), 30, f"the child is ended, after {soft}")
        scene.server.start()
        state = scene.wait_closed(execution_id, BOUND, fleet)
        assert [attempt.outcome for attempt in state.action_states["stubborn"].trace] == ["lost", "completed"]
        scene.check_clean(execution_id)


def ends(scene: Scene, execution_id: str) -> int:
    """How often user code came to its end."""
    return sum(line.what == "end" for line in scene.journal.lines(execution_id))


def lost(state: ExecutionState) -> list[str]:
    """Actions of which an attempt was lost."""
    return [name for name, found in state.action_states.items() if any(a.outcome == "lost" for a in found.trace)]

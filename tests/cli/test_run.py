"""``run``, ``watch`` and ``validate``: plans from files and standard input, followed or not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from redis.exceptions import ConnectionError

from tests.cli.commands import APP, CommandLine
from tests.cli.processes import COMMAND, environment, piped, run
from tests.support import wait_until
from tests.workers import action, plan
from workflow_state import Event, ExecutionState, PlanValidationError, StateManager
from workflow_state.cli.follow import LONGEST_REST, REST, follow
from workflow_state.cli.session import Session
from workflow_state.cli.watch import EventLines
from workflow_state.embedded import EmbeddedServer

QUICK = {"max_attempts": 2, "min_timeout_in_ms": 50}
YAML = """
name: yaml order
actions:
  - {id: first, actionDefinitionId: test.echo, inputs: {day: 2026-03-14, paid: no}}
  - id: second
    actionDefinitionId: test.value
    dependencies: [first]
    inputs: {value: "${first.output}"}
"""


def two_actions() -> str:
    """A plan of two levels, the second of which fails once."""
    first, second = action("first"), action("second", "test.flaky", "first", inputs={"times": 1}, retry=QUICK)
    return json.dumps(plan(first, second, name="two"))


def ends(cli: CommandLine, execution_id: str) -> str:
    return cli.manager.wait(execution_id, 20).status.value


def test_run_prints_the_execution_id_for_scripts_and_for_people(cli: CommandLine, tmp_path: Path) -> None:
    """In a pipe the id stands alone; a terminal also gets the command that follows it; JSON says it was made."""
    (tmp_path / "plan.json").write_text(two_actions())
    file = str(tmp_path / "plan.json")
    execution_id = cli.piped("run", file).stdout.strip()
    assert ends(cli, execution_id) == "completed"

    shown = cli.shown("run", file, "--id", name := f"order-{uuid.uuid4()}")
    assert f"execution {name}" in shown
    assert cli.hint("watch", name) in shown
    assert ends(cli, name) == "completed"
    # The same id again: a cron job that was started twice does its work once.
    assert cli.json("run", file, "--id", name) == {"execution_id": name, "created": False}
    assert len([e for e in cli.manager.history(name) if e.type == "plan.execution.started"]) == 1


def test_an_empty_id_is_none(cli: CommandLine) -> None:
    """`--id "$ORDER"` with a variable that is not set would run the plan each time; it is refused, as in Python."""
    assert "'' cannot be an execution id" in cli.refused("run", "-", "--id", "", stdin=two_actions(), code=2)
    with pytest.raises(PlanValidationError, match="invalid_execution_id"):
        cli.manager.initialize_state(two_actions(), execution_id="", start=False)


def test_a_yaml_plan_from_standard_input_keeps_its_values(cli: CommandLine) -> None:
    """``-`` reads standard input, JSON or YAML; a day stays text and ``no`` does not become false."""
    state = cli.json("run", "-", "--wait", stdin=YAML)
    assert state["status"] == "completed"
    assert state["action_states"]["second"]["result"]["output"] == {"day": "2026-03-14", "paid": "no"}
    assert state["diagnosis"] == {"causes": [], "not_started": [], "waiting": [], "next": []}
    assert cli.piped("run", "-", "--wait", stdin=two_actions()).stdout.startswith("execution ")


def test_watching_in_a_terminal_is_live_with_retries(cli: CommandLine, tmp_path: Path) -> None:
    """The picture changes while actions run, counts retries, and in the end the table takes its place."""
    gate = uuid.uuid4().hex
    flaky = action("flaky", "test.flaky", inputs={"times": 1}, retry=QUICK)
    gated = action("gated", "test.gate", "flaky", inputs={"name": gate})
    (tmp_path / "plan.json").write_text(json.dumps(plan(flaky, gated, action("last", "test.echo", "gated"))))
    with cli.terminal("run", str(tmp_path / "plan.json"), "--watch") as shown:
        cli.site.wait_started(gate)
        shown.wait_for("1 retry")
        shown.wait_for("running")
        assert "┏" not in shown.text, "the table comes at the end"
        cli.site.open_gate(gate)
        assert shown.wait_end() == 0
        assert "completed after" in shown.text
        assert "3 of 3 actions completed" in shown.text


def test_watching_in_a_pipe_gives_lines_and_its_exit_code(cli: CommandLine) -> None:
    """One line for each change, then the end as `status` shows it; 1 for a plan that failed."""
    failing = plan(action("bad", "test.fail", retry={"max_attempts": 1}), action("after", "test.echo", "bad"))
    done = cli.piped("run", "-", "--watch", stdin=json.dumps(failing), code=1)
    assert "level 1  bad: attempt 1 failed: refused" in done.stdout
    assert "bad failed in attempt 1 of 1" in done.stdout
    done = cli.piped("run", "-", "--watch", stdin=two_actions())
    assert "level 2  second: started (attempt 2)" in done.stdout
    assert "level 2 of 2 done: 1 completed" in done.stdout


def test_watch_as_json_gives_each_event_once(cli: CommandLine) -> None:
    """Events as JSON lines, all of them, in order, the last one included; `history --json` prints the same."""
    events = cli.lines("run", "-", "--watch", stdin=two_actions())
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "plan.execution.started"
    assert events[-1]["type"] == "plan.execution.completed"
    assert cli.lines("history", events[0]["execution_id"]) == events


def test_watch_as_json_gives_what_an_outage_has_cut_off(cli: CommandLine, capsys: pytest.CaptureFixture[str]) -> None:
    """The server goes away between the state and its events, when there is no later state: they are printed at the
    next look. The last ones were left out, and the command ended as if it had printed all.
    """
    state = cli.manager.initialize_state(plan(action("a")))
    state = cli.manager.wait(state.id, 20)
    outage = iter([ConnectionError("away")])

    class Away(StateManager):
        def history(self, *args: Any, **kwargs: Any) -> list[Event]:
            for error in outage:
                raise error
            return super().history(*args, **kwargs)

    session = Session(given=cli.site.app)
    vars(session)["manager"] = manager = Away(cli.site.app)
    with EventLines(session, state.id) as lines:
        assert follow(manager, state.id, lines.show, outage=10).status.value == "completed"
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert printed == [event.model_dump(mode="json") for event in cli.manager.history(state.id)]


def test_an_interrupted_watch_leaves_the_execution_alone(cli: CommandLine) -> None:
    """Ctrl-C ends the looking, not the work, and says how to go on; so does --timeout, with a code of its own."""
    gate = uuid.uuid4().hex
    state = cli.manager.initialize_state(plan(action("a", "test.gate", inputs={"name": gate})))
    cli.site.wait_started(gate)
    left = cli.piped("watch", state.id, "--timeout", "0.1", code=6)
    assert f"Execution {state.id} has not ended within 0.1 s; it goes on" in left.stderr
    with cli.terminal("watch", state.id) as shown:
        shown.wait_for("running")
        shown.process.send_signal(signal.SIGINT)
        assert shown.wait_end() == 130
        assert cli.hint("cancel", state.id) in shown.text
    cli.site.open_gate(gate)
    assert ends(cli, state.id) == "completed"
    assert "1 of 1 action completed" in cli.piped("watch", state.id).stdout


@pytest.mark.redis
def test_a_watch_outlives_a_restart_of_the_server(tmp_path: Path) -> None:
    """The server goes and comes back: the watch goes on with the next event. The server of this test is its own."""
    with EmbeddedServer(data_dir=tmp_path / "data") as server:
        app = Celery("watched", set_as_current=False, broker=server.url, backend=server.url)
        manager, log = StateManager(app), tmp_path / "log"
        execution_id = manager.initialize_state(plan(action("a"), action("b", "test.echo", "a")), start=False).id
        manager.update_action_status(execution_id, "a", "running")
        command = [*COMMAND, "watch", execution_id, "--json"]
        with piped(command, cwd=tmp_path, log=log, env=environment(REDIS_URL=server.url)) as process:
            wait_until(lambda: "requested" in log.read_text(), 20, "it watches")
            server.restart()
            for name in ("a", "b"):
                if name == "b":
                    manager.update_action_status(execution_id, name, "running")
                manager.record_action_result(execution_id, name, "done")
            wait_until(lambda: process.poll() is not None, 30, "it has ended")
        assert process.returncode == 0, log.read_text()
        events = [json.loads(line) for line in log.read_text().splitlines()]
        assert events == [event.model_dump(mode="json") for event in manager.history(execution_id)]
        app.close()


@pytest.mark.redis
def test_a_watch_goes_on_soon_when_a_server_answers_again(tmp_path: Path) -> None:
    """A server that gave no answer for some seconds is looked at again soon, as it would be had it been away: it was
    left alone five times as long as its answer had taken, which could be minutes.
    """
    with EmbeddedServer(data_dir=tmp_path / "data") as server:
        app = Celery("watched", set_as_current=False, broker=server.url, backend=server.url)
        manager, looks = StateManager(app), []
        execution_id = manager.initialize_state(plan(action("a")), start=False).id

        def show(state: ExecutionState) -> None:
            looks.append(time.monotonic())
            if len(looks) == 1:
                os.kill(server.pid, signal.SIGSTOP)
                threading.Timer(3, os.kill, (server.pid, signal.SIGCONT)).start()
            elif len(looks) == 2:
                manager.cancel_execution(execution_id)

        assert follow(manager, execution_id, show).status == "cancelled"
        silent, next_look = looks[1] - looks[0], looks[2] - looks[1]
        assert next_look < 2 * LONGEST_REST < REST * silent
        app.close()


def test_a_plan_that_nobody_takes_says_what_is_missing(database: Callable[[], str], tmp_path: Path) -> None:
    """Without a worker `run --watch` says how one is started, and goes on waiting; so does `status`."""
    env = environment(REDIS_URL=database())
    done = run(
        [*COMMAND, "run", "-", "--id", "x", "--watch", "--timeout", "3"], cwd=tmp_path, env=env, stdin=two_actions()
    )
    assert done.returncode == 6
    missing = "Nothing has begun: no worker listens, or all are busy; `celery -A workflow_state.app worker` starts one"
    assert missing in done.stdout
    assert missing in run([*COMMAND, "status", "x"], cwd=tmp_path, env=env).stdout


def test_a_queue_that_no_worker_listens_to_is_named(cli: CommandLine, tmp_path: Path) -> None:
    """A plan that waits in a misspelt queue beside a worker of another: `run --watch` and `status` say which queue."""
    queue, name = f"slwo-{uuid.uuid4()}", f"order-{uuid.uuid4()}"
    (tmp_path / "plan.json").write_text(json.dumps(plan(action("a"), action("b", queue=queue))))
    watched = cli.piped("run", str(tmp_path / "plan.json"), "--id", name, "--watch", "--timeout", "4", code=6).stdout
    for said in (watched, cli.piped("status", name).stdout):
        assert f"Nothing is taken from the queue {queue}, which has b: no worker listens to it" in said
        assert f"worker --queues {queue}`" in said
    cli.manager.cancel_execution(name)
    assert ends(cli, name) == "cancelled"
    cli.site.redis.delete(queue)


def test_validate_lists_every_problem_in_editor_form(tmp_path: Path) -> None:
    """File, place, message and code for each problem, exit code 2; no server is asked. JSON has the same."""
    (tmp_path / "bad.yaml").write_text("actions: [{id: a, actionDefinitionId: x, dependencies: [b, c]}]")
    env = environment(REDIS_URL="redis://127.0.0.1:1/0")
    done = run([*COMMAND, "validate", "bad.yaml"], cwd=tmp_path, env=env)
    assert done.returncode == 2
    assert done.stdout.count("bad.yaml: error: actions[0].dependencies") == 2
    done = run([*COMMAND, "validate", "bad.yaml", "--json"], cwd=tmp_path, env=env)
    assert done.returncode == 2
    said = json.loads(done.stdout)
    assert said["valid"] is False
    assert {problem["code"] for problem in said["problems"]} == {"unknown_dependency"}
    done = run([*COMMAND, "validate", "-"], cwd=tmp_path, env=env, stdin=two_actions())
    assert done.returncode == 0
    assert "is valid: 2 actions in 2 levels" in done.stdout


def test_an_output_in_an_old_encoding_is_whole_for_programs_and_readable_for_people(tmp_path: Path) -> None:
    """What a Latin-1 output cannot have is a "?" in text; JSON and pictures are UTF-8. It was a traceback."""
    env, named = environment(PYTHONIOENCODING="latin-1"), json.dumps(plan(action("a"), name="计划"))
    (tmp_path / "计划.json").write_text(named)
    for words, said in [
        (["graph", "-", "--json"], '"title": "计划"'),
        (["graph", "-", "--format", "svg"], "计划"),
        (["validate", "计划.json"], "??.json is valid"),
    ]:
        done = subprocess.run(
            [*COMMAND, *words], cwd=tmp_path, env=env, input=named.encode(), capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert said in done.stdout.decode()
    (tmp_path / "计划.json").write_text("{}")
    done = subprocess.run([*COMMAND, "validate", "计划.json"], cwd=tmp_path, env=env, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (2, b"")
    assert done.stdout.startswith(b"??.json: error: ")


def test_validate_tells_warnings_in_a_terminal(cli: CommandLine, tmp_path: Path) -> None:
    """What may not be meant, and actions that the named app does not know; with --strict the plan is not valid."""
    wanted = plan(action("a"), action("b", "test.ecco", "a", condition={"if": "1 == 2"}))
    (tmp_path / "plan.json").write_text(json.dumps(wanted))
    shown = " ".join(cli.shown("validate", str(tmp_path / "plan.json"), "--strict", code=2).split())
    assert "warning: actions[1].condition.if" in shown
    assert f"The app {APP} has no action 'test.ecco' (did you mean 'test.echo'?) [unknown_action]" in shown
    assert "is valid" not in shown


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["run", "no-such-plan.json"], 2, "'no-such-plan.json' does not exist"),
        (["run", "-"], 2, "The plan from standard input cannot be run. The plan has 1 problem"),
        (["run", "-", "--timeout", "3"], 2, "--timeout goes with --watch or --wait"),
        (["run", "-", "--watch", "--timeout", "nan"], 2, "'nan' is no number of seconds"),
        (["demo", "--patience", "nan"], 2, "'nan' is no number of seconds"),
        (["watch", "no-such-execution"], 3, "No execution 'no-such-execution' is stored"),
        (["history", "no-such-execution"], 3, "No execution 'no-such-execution' is stored"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_message(
    cli: CommandLine, words: list[str], code: int, message: str
) -> None:
    """No traceback; the exit code tells a script what kind of problem it is."""
    assert message in cli.refused(*words, code=code)


def test_the_state_is_there_as_soon_as_the_id_is(cli: CommandLine) -> None:
    """A script may ask for the status in the next line: `run` returns when the execution is stored."""
    execution_id = cli.piped("run", "-", stdin=two_actions()).stdout.strip()
    assert cli.manager.get_full_state(execution_id).id == execution_id
    wait_until(lambda: cli.manager.get_full_state(execution_id).status.ended, 20)

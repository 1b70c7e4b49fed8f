"""``workflow-state demo``: from nothing to a plan that ran, and back to nothing. Real processes only."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.cli.processes import (
    DEMO,
    assert_nothing_left,
    environment,
    members,
    piped,
    run,
    terminal,
    worker_pid,
)
from tests.support import wait_until
from workflow_state.cli.demo import EXAMPLE
from workflow_state.compiler import compile_plan
from workflow_state.references import find_references
from workflow_state.validation import prepare_plan

pytestmark = [pytest.mark.redis, pytest.mark.worker]

MY_ACTIONS = """
from workflow_state import action

@action("mine.add")
def add(a: int, b: int) -> int:
    return a + b
"""


def action(action_id: str, definition: str = "demo.sleep", *after: str, **inputs: Any) -> dict[str, Any]:
    return {"id": action_id, "actionDefinitionId": definition, "dependencies": after, "inputs": inputs}


def plan_file(folder: Path, *actions: dict[str, Any]) -> str:
    """Write a plan and give the name of its file."""
    (folder / "plan.json").write_text(json.dumps({"actions": actions}))
    return "plan.json"


def row_of(output: str, action_id: str) -> list[str]:
    """The cells of an action's row in the final table."""
    rows = [line for line in output.splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in rows]
    (found,) = [row for row in cells if row[1] == action_id]
    return found


def test_the_example_is_a_realistic_plan() -> None:
    """The example shows what plans are for: levels, parallel work, data by reference, a retry, text, a default."""
    text = EXAMPLE.read_text("utf-8")
    plan = prepare_plan(text)
    levels = compile_plan(plan).levels
    references = find_references([dict(a.inputs) for a in plan.actions])
    rendered = [value for a in plan.actions for value in a.inputs.values() if isinstance(value, str)]

    assert len(levels) >= 5
    assert max(map(len, levels)) >= 3
    assert len({reference.action_id for reference in references}) >= 5
    assert any("${" in value and not value.startswith("${") for value in rendered)
    assert "??" in text
    assert any(a.retry for a in plan.actions)
    assert '"actionDefinitionId"' in text, "written as plans of the original package are"


@pytest.mark.slow
def test_the_example_runs_from_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    """One command, no server, no file: the plan completes, the table says how, and every process is gone."""
    done = run(DEMO, cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    plan = prepare_plan(EXAMPLE.read_bytes())
    for level, names in enumerate(compile_plan(plan).levels, 1):
        for name in names:
            assert row_of(done.stdout, name)[0] == str(level)
    assert row_of(done.stdout, "fetch-rates")[2:4] == ["completed", "2"]
    assert row_of(done.stdout, "alert-support")[2] == "skipped"
    assert "Sales of 2026-03-14" in row_of(done.stdout, "render")[5]
    assert "level 1  fetch-rates: attempt 1 failed: the bank answered 503" in done.stdout
    assert re.search(r"^completed in \d+\.\d+ s: 11 completed, 0 failed, 1 skipped$", done.stdout, re.MULTILINE)
    assert "\x1b" not in done.stdout, "no colours or cursor movements in a pipe"
    assert_nothing_left(done.stdout)
    assert list(tmp_path.iterdir()) == []


def test_in_a_terminal_progress_is_live(tmp_path: Path) -> None:
    """A terminal shows each action's status while it changes, and then the table."""
    file = plan_file(tmp_path, action("first", seconds=0.8), action("second", "demo.sleep", "first", seconds=0))
    with terminal([*DEMO, file], cwd=tmp_path) as shown:
        assert shown.wait_end() == 0
        live, _, _ = shown.text.partition("┏")
        assert "pending" in live
        assert "running" in live, "the table comes at the end"
        assert row_of(shown.text, "second")[2] == "completed"
        assert_nothing_left(shown.text)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_everything(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C in the middle of an action: exit code 130, and neither worker nor server is left; so for SIGTERM."""
    with terminal([*DEMO, plan_file(tmp_path, action("long", seconds=600))], cwd=tmp_path) as shown:
        shown.wait_for("running")
        # As the terminal does it: to the whole foreground group.
        os.killpg(shown.process.pid, number)
        assert shown.wait_end() == 130
        assert "Interrupted" in shown.text
        assert "Traceback" not in shown.text
        assert_nothing_left(shown.text)


def test_a_killed_demo_leaves_nothing(tmp_path: Path) -> None:
    """``kill -9`` of the demo: its worker, the pool and the server end by themselves."""
    with terminal([*DEMO, plan_file(tmp_path, action("long", seconds=600))], cwd=tmp_path) as shown:
        shown.wait_for("running")
        assert members(worker_pid(shown.text))
        shown.process.kill()
        shown.wait_end()
        assert_nothing_left(shown.text)


def test_a_worker_that_dies_ends_the_demo(tmp_path: Path) -> None:
    """A worker killed in the middle: the demo says so, shows its last words, and ends with 1."""
    log = tmp_path / "log"
    with piped([*DEMO, plan_file(tmp_path, action("long", seconds=600))], cwd=tmp_path, log=log) as process:
        wait_until(lambda: "long: started" in log.read_text(), 30, "the action runs")
        os.kill(worker_pid(log.read_text()), signal.SIGKILL)
        wait_until(lambda: process.poll() is not None, 30, "the demo has ended")
    output = log.read_text()
    assert process.returncode == 1
    assert "The worker was ended by SIGKILL" in output
    assert "workflow_state.execute_plan" in output, "the log of the worker"
    assert_nothing_left(output)


@pytest.mark.slow
def test_a_plan_that_is_stuck_is_given_up(tmp_path: Path) -> None:
    """No change for longer than --patience: the demo names what runs, and ends with 1."""
    file = plan_file(tmp_path, action("long", seconds=600))
    done = run([*DEMO, file, "--patience", "0.5"], cwd=tmp_path)
    assert done.returncode == 1
    assert "Nothing has changed for 0.5 s. The execution is running, running are: long." in done.stderr
    assert "--patience" in done.stderr
    assert_nothing_left(done.stdout)


def test_a_plan_that_waits_for_a_person_is_not_waited_for(tmp_path: Path) -> None:
    """Nobody can answer a confirmation here: the demo says what to do, and ends with 1."""
    asking = {**action("pay"), "userConfirmation": {"title": "Pay?"}}
    done = run([*DEMO, plan_file(tmp_path, asking)], cwd=tmp_path)
    assert done.returncode == 1
    assert "waits for a person to confirm pay" in done.stderr
    assert "StateManager.confirm_action" in done.stderr
    assert_nothing_left(done.stdout)


def test_a_failed_plan_is_exit_code_1(tmp_path: Path) -> None:
    """An action that nobody registered fails its plan; the table names those that are registered."""
    file = plan_file(tmp_path, action("first", "demo.slep"), action("second", "demo.sleep", "first"))
    done = run([*DEMO, file], cwd=tmp_path)
    assert done.returncode == 1
    assert row_of(done.stdout, "first")[2] == "failed"
    assert row_of(done.stdout, "second")[2] == "skipped"
    assert "No action is registered as 'demo.slep'" in done.stdout
    assert "demo.sleep" in done.stdout
    assert_nothing_left(done.stdout)


def test_a_plan_and_actions_of_ones_own_on_a_server_of_ones_own(tmp_path: Path, database: Callable[[], str]) -> None:
    """--actions modules come from the working directory; a server from REDIS_URL is used, and left as it was."""
    (tmp_path / "mine.py").write_text(MY_ACTIONS)
    first = {**action("first", "mine.add", a=1, b=2), "queue": "a-queue-of-its-own"}
    file = plan_file(tmp_path, first, action("second", "mine.add", "first", a="${first.output}", b=4))
    url = database()
    with redis.Redis.from_url(url) as client:
        client.set("of-somebody-else", "1")
        done = run([*DEMO, file, "--actions", "mine"], cwd=tmp_path, env=environment(REDIS_URL=url))
        assert done.returncode == 0, done.stdout + done.stderr
        assert row_of(done.stdout, "second")[5] == "7"
        assert f"server: {url} (from REDIS_URL)" in done.stdout
        assert client.keys() == [b"of-somebody-else"]
    assert not members(worker_pid(done.stdout))


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ('{"actions": [', ["The plan is not JSON", "[invalid_json]"]),
        ('{"actions": []}', ["[no_actions]"]),
        (
            json.dumps({"actions": [action("a", "demo.sleep", "b"), action("b", "demo.sleep", "a", "c")]}),
            ["The plan has 2 problems:", "a → b → a", "[cycle]", "[unknown_dependency]"],
        ),
    ],
)
def test_a_bad_plan_is_exit_code_2(tmp_path: Path, text: str, problems: list[str]) -> None:
    """Every problem of a plan is listed at once, readable, and nothing is started."""
    (tmp_path / "bad.json").write_text(text)
    done = run([*DEMO, "bad.json"], cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Error: bad.json cannot be run. ")
    assert [problem for problem in problems if problem not in done.stderr] == []
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "url", "code", "message"),
    [
        (["no-such-file.json"], "", 2, "File 'no-such-file.json' does not exist"),
        (["--actions", "no_such_module.actions"], "", 2, "there is no module 'no_such_module'"),
        ([], "localhost:6379", 2, "REDIS_URL is 'localhost:6379'; expected an address such as"),
        (
            [],
            "redis://127.0.0.1:6379/first",
            2,
            "REDIS_URL is 'redis://127.0.0.1:6379/first'; expected an address such as",
        ),
        ([], "redis://127.0.0.1:99999/0", 2, "Port out of range"),
        ([], "redis://:a-secret/x@127.0.0.1:1/0", 2, "REDIS_URL is 'redis://***@127.0.0.1:1/0'"),
        ([], "redis://:a-secret@127.0.0.1:1/0", 4, "No server answers at redis://***@127.0.0.1:1/0"),
    ],
)
def test_bad_input_is_named_and_nothing_is_started(
    tmp_path: Path, arguments: list[str], url: str, code: int, message: str
) -> None:
    """A missing file, an unknown module, a wrong or dead server: one clear message, no traceback, no secret."""
    done = run([*DEMO, *arguments], cwd=tmp_path, env=environment(**({"REDIS_URL": url} if url else {})))
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "a-secret" not in done.stdout + done.stderr
    assert done.stdout == ""


def test_a_module_that_cannot_be_imported_is_shown(tmp_path: Path) -> None:
    """A worker that does not come up: the demo ends at once, with the worker's own words."""
    (tmp_path / "broken.py").write_text("import something_that_is_not_there\n")
    done = run([*DEMO, "--actions", "broken"], cwd=tmp_path)
    assert done.returncode == 1
    assert "The worker ended with exit code 1" in done.stderr
    assert "No module named 'something_that_is_not_there'" in done.stderr
    assert_nothing_left(done.stdout)

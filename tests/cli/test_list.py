"""``list``, ``history``, ``delete``, ``graph``, ``report`` and completion, over a few executions on a real worker."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from datetime import timedelta
from pathlib import Path

import pytest

from tests.cli.commands import APP, CommandLine
from tests.cli.processes import COMMAND
from tests.workers import Site, action, plan

ONCE = {"max_attempts": 1}
NAME = f"listed {uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def three(own_site: Site) -> list[str]:
    """Ids of three executions of plans with a name of their own, oldest first; the second failed."""
    ids = [f"{kind}-{uuid.uuid4().hex[:8]}" for kind in ("first", "failed", "last")]
    with own_site.current():
        manager = CommandLine(own_site).manager
        for execution_id in ids:
            definition = "test.fail" if execution_id.startswith("failed") else "test.echo"
            wanted = plan(action("a", definition, retry=ONCE), action("b", "test.echo", "a"), name=NAME)
            manager.initialize_state(wanted, execution_id=execution_id)
            manager.wait(execution_id, 20)
    return ids


def test_list_in_a_terminal(cli: CommandLine, three: list[str]) -> None:
    """A line for each, the newest first: id, plan, status, actions done, failures."""
    rows = [line.split() for line in cli.shown("list", "--name", NAME[-8:]).splitlines() if NAME in line]
    assert [row[0] for row in rows] == three[::-1]
    assert [row[3] for row in rows] == ["completed", "failed", "completed"]
    assert rows[1][-2:] == ["0/2", "1"]


def test_list_in_a_pipe(cli: CommandLine, three: list[str]) -> None:
    """Filters narrow it, ids alone feed other commands, and JSON pages go on with their cursor."""
    assert cli.piped("list", "--name", NAME, "--status", "failed", "--ids").stdout.split() == [three[1]]
    page = cli.json("list", "--name", NAME, "--limit", "2", "--since", "1h")
    assert [item["id"] for item in page["items"]] == [three[2], three[1]]
    rest = cli.json("list", "--name", NAME, "--cursor", page["cursor"])
    assert [item["id"] for item in rest["items"]] == three[:1]
    created = cli.manager.get_full_state(three[1]).started_at + timedelta(hours=-1)
    assert cli.json("list", "--name", NAME, "--until", created.isoformat())["items"] == []


def test_a_number_that_no_event_has_is_bad_input(cli: CommandLine, three: list[str]) -> None:
    """Not a fault of the server."""
    assert "is not in the range" in cli.refused("history", three[0], "--after", "9" * 20, code=2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--since", "yesterday"], "'yesterday' is no moment such as"),
        (["--since", "999999w"], "'999999w' is no moment such as"),
        (["--cursor", "?"], "is not a cursor"),
        (["--cursor", "²:a"], "is not a cursor"),
    ],
)
def test_bad_filters_are_named(cli: CommandLine, words: list[str], message: str) -> None:
    """Bad input: exit code 2, and what would be good."""
    assert message in cli.refused("list", *words, code=2)


def test_history_in_a_terminal(cli: CommandLine, three: list[str]) -> None:
    """What happened, in words, with the number that ``--after`` takes."""
    shown = cli.shown("history", three[1], "--after", "1")
    assert "2  " in shown
    assert "a  failed  action_failed: refused" in shown
    assert "plan  started" not in shown


def test_delete_removes_an_ended_execution(cli: CommandLine) -> None:
    """In a terminal and in a pipe; afterwards it is not found (3); one that runs is refused (5)."""
    ids = [cli.manager.initialize_state(plan(action("a"))).id for _ in range(2)]
    for execution_id in ids:
        cli.manager.wait(execution_id, 20)
    assert f"execution {ids[0]} is deleted" in cli.shown("delete", ids[0])
    assert cli.json("delete", ids[1])["execution_id"] == ids[1]
    assert "No execution" in cli.refused("delete", ids[0], code=3)
    gate = uuid.uuid4().hex
    running = cli.manager.initialize_state(plan(action("a", "test.gate", inputs={"name": gate}))).id
    assert "only one that has ended can be deleted" in cli.refused("delete", running, code=5)
    cli.site.open_gate(gate)
    cli.manager.wait(running, 20)


def test_graph_of_an_execution(cli: CommandLine, three: list[str], tmp_path: Path) -> None:
    """A file says by its name what it is to be; JSON has levels, edges and statuses."""
    assert "Wrote" in cli.shown("graph", "--execution", three[1], "-o", str(tmp_path / "run.svg"))
    assert "<svg" in (tmp_path / "run.svg").read_text()
    found = cli.json("graph", "--execution", three[1])
    assert (found["levels"], found["edges"]) == ([["a"], ["b"]], [["a", "b"]])
    assert found["statuses"] == {"a": "failed", "b": "skipped"}
    assert cli.piped("graph", "--execution", three[1], "--json", "-o", str(tmp_path / "run.json")).stdout == ""
    assert json.loads((tmp_path / "run.json").read_text()) == found


def test_report_of_an_execution(cli: CommandLine, three: list[str], tmp_path: Path) -> None:
    """One HTML file, named after the execution or as one says, or standard output; 3 when there is none."""
    cli.cwd = tmp_path
    assert f"Wrote {three[1]}.html" in cli.shown("report", three[1])
    written = (tmp_path / f"{three[1]}.html").read_text()
    assert written.lower().startswith("<!doctype html>")
    assert NAME in written
    assert cli.json("report", three[0], "-o", "run.html") == {"execution_id": three[0], "file": "run.html"}
    assert (tmp_path / "run.html").exists()
    assert cli.piped("report", three[0], "-o", "-").stdout.lower().startswith("<!doctype html>")
    assert "No execution 'nope'" in cli.refused("report", "nope", code=3)
    assert "nope/run.html cannot be written" in cli.refused("report", three[0], "-o", "nope/run.html", code=2)


def test_graph_of_a_plan(cli: CommandLine) -> None:
    """From standard input, in the form that was asked for; a plan and an execution at once is no question."""
    text = json.dumps(plan(action("a"), action("b", "test.echo", "a")))
    assert cli.piped("graph", "-", stdin=text).stdout.startswith("flowchart")
    assert "digraph" in cli.piped("graph", "-", "--format", "dot", stdin=text).stdout
    assert "name either a PLAN or an --execution" in cli.refused("graph", code=2)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["stat"], {"status"}),
        (["status", "failed-"], {"ID"}),
        (["confirm", "ID", ""], {"a", "b"}),
        (["rerun", "ID", "--from", "b"], {"b"}),
        (["list", "--status", "fail"], {"failed"}),
    ],
)
def test_completion(cli: CommandLine, three: list[str], words: list[str], wanted: set[str]) -> None:
    """As a shell asks for it: commands, ids of executions and of their actions, choices."""
    typed = [three[1] if word == "ID" else word for word in words]
    cli.env |= {
        "_WORKFLOW_STATE_COMPLETE": "bash_complete",
        "WORKFLOW_STATE_APP": APP,
        "COMP_WORDS": " ".join(["workflow-state", *typed]),
        "COMP_CWORD": str(len(typed)),
    }
    script = "from workflow_state.cli import main; main(prog_name='workflow-state')"
    found = {line.partition(",")[2] for line in cli.typed([COMMAND[0], "-c", script]).stdout.splitlines()}
    assert {three[1] if name == "ID" else name for name in wanted} <= found


def test_completion_is_silent_where_there_is_no_server(cli: CommandLine) -> None:
    """A Tab must never print an error into the line that is being typed."""
    cli.env |= {
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "_WORKFLOW_STATE_COMPLETE": "bash_complete",
        "COMP_WORDS": "workflow-state status ",
        "COMP_CWORD": "2",
    }
    done = cli.typed([COMMAND[0], "-c", "from workflow_state.cli import main; main(prog_name='workflow-state')"])
    assert (done.stdout.strip(), done.stderr) == ("", "")


@pytest.mark.parametrize(
    "words",
    [
        *(["list"], ["list", "--json"], ["watch", "ID"], ["history", "ID", "--json"]),
        *(["--help"], ["--version"], ["run", "--help"]),
    ],
)
def test_an_output_that_nobody_reads_or_that_has_no_room(cli: CommandLine, three: list[str], words: list[str]) -> None:
    """A reader that has gone, as `head` goes, is no execution that failed: the code is that of SIGPIPE, and nothing is
    said; a full disk is one message.
    """
    command = [*COMMAND, "-A", APP, *(three[0] if word == "ID" else word for word in words)]
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as unread:
        done = subprocess.run(command, cwd=cli.cwd, env=cli.env, stdout=unread, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (141, b"")
    if Path("/dev/full").exists():  # on Linux
        with open("/dev/full", "wb") as full:
            done = subprocess.run(command, cwd=cli.cwd, env=cli.env, stdout=full, stderr=subprocess.PIPE, check=False)
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
        assert done.stderr.startswith(b"Error: The output cannot be written: No space left")

"""``events``: the tail of what happens, on the broker of a real worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import APP, CommandLine
from tests.cli.processes import COMMAND, piped
from tests.support import wait_until
from tests.workers import action, plan
from workflow_state import Event
from workflow_state.events import publish_events
from workflow_state.settings import Settings


@pytest.fixture
def story(cli: CommandLine) -> list[Event]:
    """What happened in a real execution."""
    flaky = action("a", "test.flaky", inputs={"times": 1}, retry={"max_attempts": 2, "min_timeout_in_ms": 20})
    execution_id = cli.manager.initialize_state(plan(flaky)).id
    cli.manager.wait(execution_id, 20)
    return cli.manager.history(execution_id)


def send(cli: CommandLine, events: list[Event]) -> None:
    """As a worker does whose app has events on."""
    publish_events(cli.site.app, Settings.of(cli.site.app), events)


def test_events_in_a_terminal_until_it_is_interrupted(cli: CommandLine, story: list[Event]) -> None:
    """Each event on a line, with the detail that matters; that this app sends few is said; Ctrl-C ends it (130)."""
    with cli.terminal("events") as shown:
        shown.wait_for("listening")
        assert "The setting workflow_state['events'] of this app is off" in shown.text
        send(cli, story)
        shown.wait_for("a  retrying  attempt 1  again in")
        shown.wait_for("plan  completed")
        shown.process.send_signal(signal.SIGINT)
        assert shown.wait_end() == 130
        assert "Traceback" not in shown.text
    assert_forgotten(cli)


def test_events_as_json_by_type(cli: CommandLine, story: list[Event], tmp_path: Path) -> None:
    """Only types that match, only of one execution, each once, a line of JSON each; --limit ends it."""
    log = tmp_path / "log"
    words = ["events", "--type", "action.*", "--type", "*.requested", "--execution", story[0].execution_id]
    command = [*COMMAND, "-A", APP, *words, "--limit", "3", "--json"]
    with piped(command, cwd=tmp_path, log=log, env=cli.env) as process:
        wait_until(lambda: "listening" in log.read_text(), 60, "it listens")
        send(cli, [event.model_copy(update={"execution_id": "x", "id": f"x/{event.sequence}"}) for event in story])
        send(cli, [*story, *story])
        wait_until(lambda: process.poll() is not None, 20, "it has ended")
    assert process.returncode == 0
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    assert lines == [event.model_dump(mode="json") for event in story[1:4]]
    assert_forgotten(cli)


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("full", [False, *([True] if Path("/dev/full").exists() else [])])  # on Linux
def test_an_output_that_nobody_reads_or_that_has_no_room_ends_it(
    cli: CommandLine, story: list[Event], tmp_path: Path, form: list[str], full: bool
) -> None:
    """``events | head`` ends with 141, and a disk that is full with 2, in words; both went on and on, each event with a
    traceback.
    """
    log = tmp_path / "log"
    read, write = os.pipe()
    with (Path("/dev/full") if full else log).open("wb") as output, log.open("wb") as errors:
        process = subprocess.Popen(
            [*COMMAND, "-A", APP, "events", *form],
            cwd=tmp_path,
            env=cli.env,
            stdin=subprocess.DEVNULL,
            stdout=output if full else write,
            stderr=errors,
        )
    os.close(write)
    try:
        wait_until(lambda: "listening" in log.read_text(), 60, "it listens")
        os.close(read)
        send(cli, story)
        wait_until(lambda: process.poll() is not None, 20, "it has ended")
    finally:
        process.kill()
        process.wait()
    assert process.returncode == (2 if full else 141)
    assert "Traceback" not in log.read_text()
    assert ("The output cannot be written: No space left on device" in log.read_text()) is full
    assert_forgotten(cli)


def assert_forgotten(cli: CommandLine) -> None:
    """Nothing gathers events any more for a listener that has gone: neither its queue nor its binding is left."""
    exchange = f"{cli.site.prefix}.events"
    assert [key for key in cli.site.all_keys() if key.startswith(f"{exchange}.")] == []
    assert cli.site.redis.smembers(f"_kombu.binding.{exchange}") == set()

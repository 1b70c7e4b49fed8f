"""docs/cli.md is true: its commands, typed in order, print what it shows, and it leaves no command out."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.consoles import assert_kept, run_session, typed
from tests.docs.documents import ROOT, blocks
from workflow_state.cli import main
from workflow_state.cli.exits import Exit
from workflow_state.cli.worker import WorkerProcess

DOCUMENT = ROOT / "docs" / "cli.md"
SERVER, WORKER = "workflow-state server", "celery -A app worker --loglevel INFO"


# Forty processes start, one after the other.
@pytest.mark.timeout(480)
@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.worker
def test_every_command_does_what_the_page_shows(tmp_path: Path, database: Callable[[], str]) -> None:
    """One shell, one worker, the whole page: each command ends as shown, and prints what is shown."""
    commands = typed(blocks(DOCUMENT, "console"))
    started = [one.command for one in commands].index(SERVER)
    # The terminals of the server, which the tests have already, and of the worker.
    assert commands[started + 1].command == WORKER
    before, after = commands[:started], commands[started + 2 :]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "REDIS_URL": database(), "COLUMNS": "200"}
    env.pop("PYTHONPATH", None)
    assert_kept(before, run_session(before, cwd=tmp_path, env=env))
    with WorkerProcess("app", cwd=tmp_path / "shop", environ=env, concurrency=2):
        assert_kept(after, run_session(after, cwd=tmp_path / "shop", env=env))


def test_every_command_is_on_the_page() -> None:
    """Each command of the group has an example, each exit code a row, each command with --json its shape."""
    text = DOCUMENT.read_text("utf-8")
    examples = " ".join(one.command for one in typed(blocks(DOCUMENT, "console"))) + text
    missing = [name for name in main.commands if not re.search(rf"workflow-state {name}\b", examples)]
    assert missing == []
    assert [code for code in Exit if f"| {code.value} |" not in text] == []
    with_json = [name for name, command in main.commands.items() if any(p.name == "as_json" for p in command.params)]
    shapes = text[text.index("| command | `--json` prints |") :]
    assert [name for name in with_json if f"`{name}`" not in shapes] == []

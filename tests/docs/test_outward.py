"""The pages on events and on remote actions are true: their code runs on a real worker, with a real service."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.documents import ROOT, blocks, promised_output, run_blocks
from workflow_state import ActionCompleted
from workflow_state.cli.worker import WorkerProcess
from workflow_state.event_types import ANSWER, EVENT

EVENTS, REMOTE = ROOT / "docs" / "events.md", ROOT / "docs" / "remote-actions.md"
#: What the page tells to set, in the configuration that Celery reads from the working directory.
LOUD = "from workflow_state.durable import *\n\nworkflow_state = {'events': True}\n"

pytestmark = [pytest.mark.redis, pytest.mark.worker]


def environ(url: str) -> dict[str, str]:
    """Of the processes that a reader of a page starts."""
    return {"REDIS_URL": url, "PYTHONPATH": str(ROOT), "WORKFLOW_STATE_ACTIONS": "actions"}


def test_the_events_page(tmp_path: Path, database: Callable[[], str]) -> None:
    """Watching, the history and a listener print what the page promises."""
    actions, *rest = blocks(EVENTS, "python")
    (tmp_path / "actions.py").write_text(actions.code)
    (tmp_path / "celeryconfig.py").write_text(LOUD)
    env = environ(database())
    with WorkerProcess("workflow_state.app", cwd=tmp_path, environ=env):
        done = run_blocks(rest, EVENTS, cwd=tmp_path, env={**os.environ, **env, "WORKFLOW_STATE_ACTIONS": ""})
    assert done.returncode == 0, done.stderr
    assert [line.strip() for line in done.stdout.splitlines()] == promised_output(rest)


def test_the_events_page_names_every_type() -> None:
    """The table has each type of event."""
    page = EVENTS.read_text("utf-8").replace("`….", "`plan.execution.")
    kinds = EVENT.json_schema()["discriminator"]["mapping"]
    assert ActionCompleted.model_fields["type"].default in kinds
    assert [kind for kind in kinds if f"`{kind}`" not in page] == []


def test_the_page_on_remote_actions(tmp_path: Path, database: Callable[[], str]) -> None:
    """Its actions, its service and its caller, each a process; its answers in JSON are answers."""
    actions, service, caller = blocks(REMOTE, "python")
    (tmp_path / "actions.py").write_text(actions.code)
    (tmp_path / "service.py").write_text(service.code)
    env = environ(database())
    # As the page advises: the request waits for a service that starts later.
    declare = [sys.executable, "-c", "import service; service.executor.declare()"]
    subprocess.run(declare, cwd=tmp_path, env={**os.environ, **env}, check=True, timeout=60)
    process = subprocess.Popen([sys.executable, "service.py"], cwd=tmp_path, env={**os.environ, **env})
    try:
        with WorkerProcess("workflow_state.app", cwd=tmp_path, environ=env):
            done = run_blocks([caller], REMOTE, cwd=tmp_path, env={**os.environ, **env, "WORKFLOW_STATE_ACTIONS": ""})
    finally:
        process.terminate()
        process.wait(20)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == promised_output([caller])
    assert [ANSWER.validate_json(block.code).type for block in blocks(REMOTE, "json")] == [
        *("action.execute.completed", "action.execute.failed"),
    ]

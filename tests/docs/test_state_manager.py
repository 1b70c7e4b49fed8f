"""The page on the state manager is true: its code runs on a real worker, and names every method there is."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.documents import ROOT, blocks, promised_output, run_blocks
from workflow_state import StateManager
from workflow_state.cli.worker import WorkerProcess

PAGE = ROOT / "docs" / "state-manager.md"


@pytest.mark.redis
@pytest.mark.worker
def test_its_code_runs(tmp_path: Path, database: Callable[[], str]) -> None:
    """The first block saved as actions.py for a worker, every other block run in order: it prints what it promises."""
    actions, *rest = blocks(PAGE, "python")
    (tmp_path / "actions.py").write_text(actions.code)
    environ = {"REDIS_URL": database(), "PYTHONPATH": str(ROOT), "WORKFLOW_STATE_ACTIONS": "actions"}
    with WorkerProcess("workflow_state.app", cwd=tmp_path, environ=environ):
        done = run_blocks(rest, PAGE, cwd=tmp_path, env={**os.environ, **environ, "WORKFLOW_STATE_ACTIONS": ""})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == promised_output(rest)


def test_every_method_has_an_example() -> None:
    """Each public method is called in a block that runs."""
    code = "\n".join(block.code for block in blocks(PAGE, "python"))
    methods = {name for name in vars(StateManager) if not name.startswith("_")}
    assert methods <= set(re.findall(r"manager\.(\w+)\(", code))

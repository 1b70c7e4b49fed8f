"""The reference: every public name is in it, with an example, and every example is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import workflow_state
from tests.docs.documents import ROOT, blocks, promised_output
from tests.docs.examples import WITHOUT_DOCSTRING, examples_of
from tests.docs.run_reference import ACTIONS_FILE
from workflow_state.cli.worker import WorkerProcess

REFERENCE = ROOT / "docs" / "reference"
CONFIGURATION = """
from workflow_state.durable import *
workflow_state = {"lease": 1.0, "sweep_interval": 0.5}
"""


def test_every_public_name_is_in_the_reference_once() -> None:
    """Each name has one entry on one page; what has an entry is public."""
    pages = "".join(page.read_text("utf-8") for page in sorted(REFERENCE.glob("*.md")))
    entries = Counter(re.findall(r"^\.\. auto\w+:: (\w+)$", pages, re.MULTILINE))
    assert entries == Counter(workflow_state.__all__)


@pytest.mark.parametrize("name", workflow_state.__all__)
def test_every_public_name_has_an_example(name: str) -> None:
    """In its docstring; or on its page, where Python knows no docstring for it."""
    if name in WITHOUT_DOCSTRING:
        code = "".join(block.code for block in blocks(REFERENCE / WITHOUT_DOCSTRING[name], "python"))
        assert re.search(rf"\b{name}\b", code)
    else:
        assert examples_of(name)


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.worker
def test_every_example_is_true(tmp_path: Path, database: Callable[[], str]) -> None:
    """All of them, on a real worker, after what the reference says that they share."""
    (tmp_path / "actions.py").write_text(ACTIONS_FILE)
    (tmp_path / "celeryconfig.py").write_text(CONFIGURATION)
    environ = {"REDIS_URL": database(), "PYTHONPATH": str(ROOT), "WORKFLOW_STATE_ACTIONS": "actions"}
    command = [
        sys.executable,
        "-c",
        "import actions; from tests.docs.run_reference import main; raise SystemExit(main())",
    ]
    with WorkerProcess("workflow_state.app", cwd=tmp_path, environ=environ, concurrency=2):
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    on_pages = [
        line for page in WITHOUT_DOCSTRING.values() for line in promised_output(blocks(REFERENCE / page, "python"))
    ]
    assert sorted(done.stdout.splitlines()) == sorted(on_pages)

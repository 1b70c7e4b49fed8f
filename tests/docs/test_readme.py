"""The documents are true: their code runs, prints what they say, and names only what is there."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

import dev
from tests.docs.documents import ROOT, blocks, promised_output, run_blocks
from workflow_state.cli.worker import WorkerProcess
from workflow_state.validation import prepare_plan

README = ROOT / "README.md"
DOCUMENTS = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")), *ROOT.glob("examples/**/*.md")]
WORKER_COMMAND = "WORKFLOW_STATE_ACTIONS=actions celery -A workflow_state.app worker"


def commands() -> list[str]:
    """What the README tells to type, without comments."""
    lines = [line for block in blocks(README, "console") for line in block.code.splitlines()]
    return [line.removeprefix("$ ").partition("  #")[0].strip() for line in lines]


@pytest.mark.redis
@pytest.mark.worker
def test_the_five_minute_start_works(tmp_path: Path, database: Callable[[], str]) -> None:
    """The first block saved as actions.py, the worker started as written, every other block run in order:
    all of it works, and prints what its comments promise.
    """
    actions, *rest = blocks(README, "python")
    (tmp_path / "actions.py").write_text(actions.code)
    assert WORKER_COMMAND in commands()
    variables, _, target, _ = re.fullmatch(r"(\S+) celery (-A) (\S+) (worker)", WORKER_COMMAND).groups()
    name, _, value = variables.partition("=")
    environ = {"REDIS_URL": database(), "PYTHONPATH": str(ROOT), name: value}
    with WorkerProcess(target, cwd=tmp_path, environ=environ):
        done = run_blocks(rest, README, cwd=tmp_path, env={**os.environ, **environ, name: ""})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == promised_output(rest)


def test_plans_in_the_readme_are_valid() -> None:
    """A plan that is copied from the README is accepted."""
    plans = blocks(README, "json")
    assert plans
    for block in plans:
        prepare_plan(block.code)


def test_make_targets_in_the_readme_exist() -> None:
    """`make something` in the README is a target of dev.py, with variables that it knows."""
    text = README.read_text("utf-8")
    typed = [shlex.split(command) for command in commands() if command.startswith("make ")]
    typed += [shlex.split(command) for command in re.findall(r"`(make [^`]+)`", text)]
    assert len(typed) >= 5
    for _, target, *variables in typed:
        assert target in dev.TARGETS
        assert {variable.partition("=")[0] for variable in variables} <= set(dev.VARIABLES)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_files_in_documents_exist(document: Path) -> None:
    """Every relative link, and every file of the project that is named in code style, is there."""
    text = re.sub(r"^```.*?^```$", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    missing = [link for link in links if not (document.parent / link).exists()]
    named = re.findall(r"`((?:workflow_state|tests|examples|docs|benchmarks)/[\w./-]*)`", text)
    missing += [name for name in named if not (ROOT / name).exists()]
    assert missing == []


def test_the_readme_is_short() -> None:
    """A newcomer reads it in one go: at most 200 lines."""
    assert len(README.read_text("utf-8").splitlines()) <= 200

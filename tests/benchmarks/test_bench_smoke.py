"""The benchmark runs and says what docs/performance.md promises; how fast it is, is not asked here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.redis
@pytest.mark.worker
def test_a_quick_grid_writes_figures_samples_promises_and_environment(tmp_path: Path) -> None:
    report = tmp_path / "bench.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "grid", "--json", str(report)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "plan / raw" in done.stdout

    found = json.loads(report.read_text("utf-8"))
    assert found["settings"] == {"rounds": 1, "quick": True}
    assert list(found["workloads"]) == ["grid"]
    grid = found["workloads"]["grid"]
    assert set(grid["figures"]) == {"raw", "plan", "plan / raw"}
    for figure in grid["figures"].values():
        assert set(figure) == {"value", "unit", "samples"}
        assert len(figure["samples"]) == 1
        assert figure["value"] > 0
    assert [(promise["figure"], promise["limit"]) for promise in grid["promises"]] == [("plan / raw", 2.0)]
    assert {"text", "value", "kept"} < set(grid["promises"][0])

    environment = found["environment"]
    assert environment["cores"] >= 1
    assert environment["packages"]["celery"]
    assert environment["server"]["appendonly"] == "yes"
    assert environment["worker"]["task_acks_late"] is True
    assert environment["worker"]["processes"] == 2
    assert str(ROOT) not in report.read_text("utf-8")


@pytest.mark.parametrize("words", [["--only", "nothing"], ["--rounds", "0"]])
def test_a_wrong_argument_is_refused_before_anything_starts(words: list[str]) -> None:
    command = [sys.executable, "-m", "benchmarks", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert words[0] in done.stderr

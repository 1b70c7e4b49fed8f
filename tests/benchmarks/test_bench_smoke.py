"""The benchmark runs and says what docs/performance.md promises; how fast it is, is not asked here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import page
from benchmarks.__main__ import arguments
from benchmarks.peers.catalogue import PEERS

ROOT = Path(__file__).parents[2]


QUICK = ("grid", "chain", "single", "publishing", "reading", "resources")
"""Those of which even the quick form does all that the long one does, in a few seconds together."""


@pytest.mark.redis
@pytest.mark.worker
def test_a_quick_run_writes_figures_samples_promises_and_environment(tmp_path: Path) -> None:
    """Every figure has a value above zero, its unit and its samples, and nothing of this machine gets in."""
    report = tmp_path / "bench.json"
    only = [word for name in QUICK for word in ("--only", name)]
    command = [sys.executable, "-m", "benchmarks", "--quick", *only, "--json", str(report)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "levels / raw" in done.stdout

    found = json.loads(report.read_text("utf-8"))
    assert found["settings"] == {"rounds": 1, "slow_rounds": 1, "quick": True}
    assert tuple(found["workloads"]) == QUICK
    assert found["peers"] == {}
    for workload in found["workloads"].values():
        for name, figure in workload["figures"].items():
            assert set(figure) == {"value", "unit", "samples"}
            assert figure["samples"]
            # Processor time is counted in hundredths of a second, which a quick run may not need.
            assert figure["value"] > 0 or "processor time" in name
    grid = found["workloads"]["grid"]
    least = {"two commands", "two commands, loose"}
    ways = {"levels", "dataflow", "loose", *least, *(f"{name}, in levels" for name in least)}
    assert set(grid["figures"]) == {"raw", *ways, *(f"{way} / raw" for way in ways)}
    limits = [(promise["figure"], promise["limit"]) for promise in grid["promises"]]
    assert limits == [("levels / raw", 1.3), ("loose / raw", 0.9)]
    assert {"text", "value", "kept"} < set(grid["promises"][0])
    assert str(ROOT) not in report.read_text("utf-8")
    _describes_the_machine(found["environment"])


def _describes_the_machine(environment: dict[str, Any]) -> None:
    assert environment["cores"] >= 1
    assert environment["packages"]["celery"]
    assert environment["server"]["appendonly"] == "yes"
    assert environment["worker"]["task_acks_late"] is True
    assert environment["worker"]["processes"] == 2


def test_peers_are_measured_by_default_and_not_when_something_else_is_asked_for() -> None:
    """``--no-peers`` leaves them out, ``--peer`` picks some of them, and what takes minutes has to be asked for."""
    assert arguments([]).peers == list(PEERS)
    assert "large" not in arguments([]).only
    assert arguments(["--no-peers"]).peers == []
    assert arguments(["--only", "grid"]).peers == []
    assert (arguments(["--only", "peers"]).only, arguments(["--only", "peers"]).peers) == ([], list(PEERS))
    assert arguments(["--peer", "rq"]).peers == ["rq"]
    assert (arguments([]).rounds, arguments([]).slow_rounds) == (5, 1)
    assert (arguments(["--rounds", "7"]).rounds, arguments(["--rounds", "7"]).slow_rounds) == (7, 7)


def test_the_page_is_written_from_whole_runs_only() -> None:
    """A part of one would leave the page without the rest."""
    assert arguments(["--page", "--no-peers"]).json == page.FIGURES
    assert arguments(["--page", "--only", "peers"]).json == page.PEERS
    assert arguments(["--page", "--only", "large"]).json == page.LARGE


@pytest.mark.parametrize(
    "words",
    [
        ["--only", "nothing"],
        ["--rounds", "0"],
        ["--page", "--no-peers", "--quick"],
        ["--page", "--only", "grid"],
        ["--page"],
        ["--page", "--no-peers", "--json", "elsewhere.json"],
    ],
)
def test_a_wrong_argument_is_refused_before_anything_starts(words: list[str]) -> None:
    """The message names it."""
    command = [sys.executable, "-m", "benchmarks", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert words[0] in done.stderr

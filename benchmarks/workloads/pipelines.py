"""Graphs of real pipelines whose actions sleep as long as the real ones took, scaled: makespan ÷ critical path.

The critical path is what a machine without end and an engine without cost would take.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Findings, Promise
from benchmarks.lab import Lab
from benchmarks.plans import SCHEDULES, Plan
from benchmarks.worker import ROOT, running_worker
from benchmarks.workload import Effort

PLANS = ROOT / "examples" / "plans"
QUEUE = "pipelines"
#: Seconds of the critical path. No level of these is wider than there are slots, and they have enough levels that one
#: has to wait for the slowest of the one before: for them a makespan is promised.
LONG, LONG_SECONDS = ("epigenomics-ilmn-1seq-50k", "mag", "viralrecon"), 20.0
#: Of the others, which are run to see whether one schedule is slower than the other.
SHORT_SECONDS = 10.0
#: Of the worker; its actions sleep.
SLOTS = 64


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A recorded graph: seconds and parents by task id."""

    name: str
    runtime: dict[str, float]
    parents: dict[str, list[str]]

    @classmethod
    def read(cls, path: Path) -> Pipeline:
        """The pipeline of a file; its format is in examples/plans/README.md."""
        tasks: list[dict[str, Any]] = json.loads(path.read_text())["tasks"]
        return cls(
            path.stem,
            {task["id"]: float(task["runtime_s"]) for task in tasks},
            {task["id"]: list(task["parents"]) for task in tasks},
        )

    @property
    def critical_path(self) -> float:
        """Seconds of the longest chain."""
        ends: dict[str, float] = {}

        def end(name: str) -> float:
            if name not in ends:
                ends[name] = self.runtime[name] + max((end(parent) for parent in self.parents[name]), default=0.0)
            return ends[name]

        return max(end(name) for name in self.runtime)

    def plan(self, schedule: str, scale: float) -> Plan:
        """Its actions sleep ``scale`` times as long; they have a queue of their own, with many slots."""
        actions = [
            {
                "id": name,
                "actionDefinitionId": "benchmarks.sleep",
                "inputs": {"seconds": seconds * scale},
                "dependencies": self.parents[name],
                "queue": QUEUE,
            }
            for name, seconds in self.runtime.items()
        ]
        return {"name": self.name, "schedule": schedule, "actions": actions}


def measure(lab: Lab, effort: Effort) -> Findings:
    """Every pipeline with each schedule: those of which a makespan is promised, then the others, scaled to less."""
    pipelines = [Pipeline.read(path) for path in sorted(PLANS.glob("*.json"))]
    pipelines.sort(key=lambda pipeline: pipeline.name not in LONG)
    figures, promises = [], []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "worker.log"
        with running_worker(lab.app, lab.app.conf.broker_url, log, queue=QUEUE, concurrency=effort.size(SLOTS, 4)):
            for pipeline in pipelines[: effort.size(len(pipelines), 1)]:
                long = pipeline.name in LONG
                seconds = 0.3 if effort.quick else LONG_SECONDS if long else SHORT_SECONDS
                found = _ratios(lab, pipeline, seconds, effort.slow_rounds)
                figures += found
                *_, dataflow, against_levels = found
                if long:
                    promises.append(Promise(f"{dataflow.name}: makespan against critical path", dataflow.name, 1.05))
                promises.append(Promise(f"{pipeline.name}: dataflow no slower than levels", against_levels.name, 1.05))
    return Findings(tuple(figures), tuple(promises))


def _ratios(lab: Lab, pipeline: Pipeline, seconds: float, rounds: int) -> list[Figure]:
    scale = seconds / pipeline.critical_path
    samples: dict[str, list[float]] = {schedule: [] for schedule in SCHEDULES}
    for _ in range(rounds):
        for schedule, found in samples.items():
            found.append(lab.run(pipeline.plan(schedule, scale))[0] / seconds)
    levels, dataflow = (Figure.median(f"{pipeline.name}, {name}", found, "x") for name, found in samples.items())
    return [levels, dataflow, Figure.ratio(f"{pipeline.name}, dataflow / levels", dataflow, levels)]

"""A grid of no-op actions against as many raw tasks: what the engine adds to each task."""

from __future__ import annotations

from benchmarks.figures import Figure, Findings, Promise
from benchmarks.lab import Lab
from benchmarks.plans import grid
from benchmarks.workload import Effort


def measure(lab: Lab, effort: Effort) -> Findings:
    """Each round drains the raw tasks and then runs the plan."""
    side = effort.size(20, 4)
    plan = grid(side, side)
    raw, whole = [], []
    for _ in range(effort.rounds):
        raw.append(lab.drain(side * side))
        whole.append(lab.run(plan)[0])
    raw_time, plan_time = Figure.median("raw", raw, "s"), Figure.median("plan", whole, "s")
    return Findings(
        (raw_time, plan_time, Figure.ratio("plan / raw", plan_time, raw_time)),
        (Promise("a grid of no-op actions takes at most twice as long as raw tasks", "plan / raw", 2.0),),
    )

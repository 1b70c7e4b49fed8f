"""A grid of no-op actions against as many raw tasks: what the engine adds to each task."""

from __future__ import annotations

from benchmarks.figures import Figure, Findings, Promise
from benchmarks.lab import Lab
from benchmarks.plans import SCHEDULES, plan
from benchmarks.shapes import grid
from benchmarks.workload import Effort


def measure(lab: Lab, effort: Effort) -> Findings:
    """Each round drains the raw tasks and then runs the plan with each schedule."""
    side = effort.size(20, 4)
    graph = grid(side, side)
    raw: list[float] = []
    whole: dict[str, list[float]] = {schedule: [] for schedule in SCHEDULES}
    for _ in range(effort.rounds):
        raw.append(lab.drain(side * side))
        for schedule, samples in whole.items():
            samples.append(lab.run(plan("grid", graph, schedule=schedule))[0])
    raw_time = Figure.median("raw", raw, "s")
    times = [Figure.median(schedule, samples, "s") for schedule, samples in whole.items()]
    ratios = [Figure.ratio(f"{time.name} / raw", time, raw_time) for time in times]
    promise = Promise("a grid of no-op actions, fully durable, against raw tasks", "levels / raw", 1.3)
    return Findings((raw_time, *times, *ratios), (promise,))

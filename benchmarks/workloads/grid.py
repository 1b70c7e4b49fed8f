"""A grid of no-op actions against as many raw tasks: what the engine adds to each task, and what is the least."""

from __future__ import annotations

from benchmarks.app import LOOSE
from benchmarks.figures import Figure, Findings, Promise
from benchmarks.lab import Lab
from benchmarks.plans import SCHEDULES, plan
from benchmarks.shapes import grid
from benchmarks.workload import Effort


def measure(lab: Lab, effort: Effort) -> Findings:
    """Each round drains the raw tasks, runs the plan with each schedule, and once more through a queue without acks.

    Then, through both queues, raw tasks that ask the server twice: no lease and record can be cheaper. At last the same
    in levels, each sent by whoever ended the one before: no barrier between groups can be cheaper.
    """
    side = effort.size(20, 4)
    graph = grid(side, side)
    raw: list[float] = []
    whole: dict[str, list[float]] = {schedule: [] for schedule in SCHEDULES}
    whole[LOOSE] = []
    twice: dict[str, list[float]] = {"two commands": [], f"two commands, {LOOSE}": []}
    in_levels: dict[str, list[float]] = {f"{name}, in levels": [] for name in twice}
    for _ in range(effort.rounds):
        raw.append(lab.drain(side * side))
        for schedule in SCHEDULES:
            whole[schedule].append(lab.run(plan("grid", graph, schedule=schedule))[0])
        whole[LOOSE].append(lab.run(plan("grid", graph, queue=LOOSE))[0])
        for samples, queue in zip(twice.values(), ("celery", LOOSE), strict=True):
            samples.append(lab.drain_twice(side * side, queue))
        for samples, queue in zip(in_levels.values(), ("celery", LOOSE), strict=True):
            samples.append(lab.levels_twice(side, side * side, queue))
    raw_time = Figure.median("raw", raw, "s")
    times = [Figure.median(schedule, samples, "s") for schedule, samples in (whole | twice | in_levels).items()]
    ratios = [Figure.ratio(f"{time.name} / raw", time, raw_time) for time in times]
    promises = (
        Promise("a grid of no-op actions, fully durable, against raw tasks", "levels / raw", 1.3),
        Promise("the same through a queue without acknowledgement", f"{LOOSE} / raw", 0.9),
    )
    return Findings((raw_time, *times, *ratios), promises)

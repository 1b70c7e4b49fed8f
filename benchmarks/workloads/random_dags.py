"""Random graphs: no shape that the engine could have been made for."""

from __future__ import annotations

from benchmarks.figures import Figure, Findings
from benchmarks.lab import Lab
from benchmarks.plans import SCHEDULES, plan
from benchmarks.shapes import random_dag
from benchmarks.workload import Effort


def measure(lab: Lab, effort: Effort) -> Findings:
    """Each round is another graph, the same in every run: its number is its seed."""
    size = effort.size(400, 12)
    raw: list[float] = []
    whole: dict[str, list[float]] = {schedule: [] for schedule in SCHEDULES}
    for seed in range(effort.rounds):
        raw.append(lab.drain(size))
        for schedule, samples in whole.items():
            samples.append(lab.run(plan(f"random-{seed}", random_dag(size, seed), schedule=schedule))[0])
    raw_time = Figure.median("raw", raw, "s")
    times = [Figure.median(schedule, samples, "s") for schedule, samples in whole.items()]
    return Findings((raw_time, *times, *(Figure.ratio(f"{time.name} / raw", time, raw_time) for time in times)))

"""A chain: the time from one action to the next, with nothing else to do."""

from __future__ import annotations

from itertools import pairwise

from benchmarks.app import raw_stamp
from benchmarks.figures import Figure, Findings, Promise
from benchmarks.lab import Lab
from benchmarks.plans import SCHEDULES, plan
from benchmarks.shapes import chain
from benchmarks.workload import Effort


def measure(lab: Lab, effort: Effort) -> Findings:
    """Each round takes the latency of some raw tasks, one at a time, and then runs the plan with each schedule.

    Every action says when it ran; a hop is the time between two that follow each other, so that starting and
    ending the plan are no part of it.
    """
    length, tasks = effort.size(200, 5), effort.size(100, 5)
    raw: list[float] = []
    hops: dict[str, list[float]] = {schedule: [] for schedule in SCHEDULES}
    for _ in range(effort.rounds):
        raw += [seconds * 1000 for seconds in lab.latencies(raw_stamp, tasks)]
        for schedule, samples in hops.items():
            given = plan("chain", chain(length), definition="benchmarks.stamp", schedule=schedule)
            outputs = lab.outputs(lab.run(given)[1])
            samples += [(after - before) * 1000 for before, after in pairwise(outputs)]
    figures = [
        found
        for name, samples in (("raw, .delay() to executed", raw), *hops.items())
        for found in (Figure.median(f"{name}, p50", samples, "ms"), Figure.p95(f"{name}, p95", samples, "ms"))
    ]
    ratios = [Figure.of_values(f"{s}, hop / raw, p50", figures[2 + 2 * i], figures[0]) for i, s in enumerate(SCHEDULES)]
    promise = Promise("a hop of a chain against .delay() to executed, p50", "levels, hop / raw, p50", 1.3)
    return Findings((*figures, *ratios), (promise,))

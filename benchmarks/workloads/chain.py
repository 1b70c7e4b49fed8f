"""A chain: the time from the end of one action to the end of the next, with nothing else to do."""

from __future__ import annotations

from benchmarks.app import raw_stamp
from benchmarks.figures import Figure, Findings
from benchmarks.lab import Lab
from benchmarks.plans import chain
from benchmarks.workload import Effort


def measure(lab: Lab, effort: Effort) -> Findings:
    """Each round takes the median latency of some raw tasks, one at a time, and then runs the plan."""
    length, tasks = effort.size(200, 5), effort.size(100, 5)
    plan = chain(length)
    raw, hop = [], []
    for _ in range(effort.rounds):
        raw.append(lab.latency(raw_stamp, tasks) * 1000)
        hop.append(lab.run(plan)[0] / length * 1000)
    raw_hop = Figure.median("raw, .delay() to executed, p50", raw, "ms")
    plan_hop = Figure.median("plan, each hop", hop, "ms")
    return Findings((raw_hop, plan_hop, Figure.ratio("hop / raw", plan_hop, raw_hop)))

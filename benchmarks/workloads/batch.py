"""Tiny actions that share messages, against raw tasks that each have their own."""

from __future__ import annotations

from benchmarks.figures import Figure, Findings, Promise
from benchmarks.lab import Lab
from benchmarks.plans import SCHEDULES, plan
from benchmarks.shapes import fan
from benchmarks.workload import Effort

#: Actions in one message.
SIZE = 50


def measure(lab: Lab, effort: Effort) -> Findings:
    """Each round drains raw tasks, then runs a wide plan in batches, in both schedules."""
    tasks, width = effort.size(2000, 10), effort.size(10_000, 100)
    plans = {name: {**plan("fan", fan(width), schedule=name), "batchSize": SIZE} for name in SCHEDULES}
    raw: list[float] = []
    costs: dict[str, list[float]] = {name: [] for name in plans}
    for _ in range(effort.rounds):
        raw.append(lab.drain(tasks) / tasks * 1000)
        for name, given in plans.items():
            costs[name].append(lab.run(given)[0] / (width + 2) * 1000)
    raw_cost = Figure.median("raw, each", raw, "ms")
    batched = {name: Figure.median(f"{name}, each", found, "ms") for name, found in costs.items()}
    rates = (Figure.ratio(f"rate in batches, {name} / raw", raw_cost, cost) for name, cost in batched.items())
    shares = [Figure.ratio(f"{name}, each / raw", cost, raw_cost) for name, cost in batched.items()]
    text = "in batches of 50 an action takes an eighth of a raw task"
    promises = tuple(Promise(text, share.name, 1 / 8) for share in shares)
    return Findings((raw_cost, *batched.values(), *rates, *shares), promises)

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
    """Each round drains raw tasks, then runs a wide plan in batches, in both schedules.

    Of the plan in levels it is also told what passes before its first action begins and after its last has ended,
    while one process works alone: reading the plan, storing it, and reading and storing the final state.
    """
    tasks, width = effort.size(2000, 10), effort.size(10_000, 100)
    plans = {name: {**plan("fan", fan(width), schedule=name), "batchSize": SIZE} for name in SCHEDULES}
    raw: list[float] = []
    costs: dict[str, list[float]] = {name: [] for name in plans}
    alone: list[float] = []
    for _ in range(effort.rounds):
        raw.append(lab.drain(tasks) / tasks * 1000)
        for name, given in plans.items():
            seconds, execution_id = lab.run(given)
            costs[name].append(seconds / (width + 2) * 1000)
            if name == "levels":
                alone.append((seconds - lab.at_work(execution_id)) / (width + 2) * 1000)
    raw_cost = Figure.median("raw, each", raw, "ms")
    batched = {name: Figure.median(f"{name}, each", found, "ms") for name, found in costs.items()}
    around = Figure.median("start and end of the plan, each", alone, "ms")
    rates = (Figure.ratio(f"rate in batches, {name} / raw", raw_cost, cost) for name, cost in batched.items())
    shares = [Figure.ratio(f"{name}, each / raw", cost, raw_cost) for name, cost in batched.items()]
    least = Figure.ratio("start and end, each / raw", around, raw_cost)
    text = "in batches of 50 an action takes an eighth of a raw task"
    promises = tuple(Promise(text, share.name, 1 / 8) for share in shares)
    return Findings((raw_cost, *batched.values(), around, *rates, *shares, least), promises)

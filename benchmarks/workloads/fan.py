"""1 -> N -> 1: whether an action of a wide level costs more than one of a narrower level."""

from __future__ import annotations

from benchmarks.figures import Figure, Findings, Promise
from benchmarks.lab import Lab
from benchmarks.plans import plan
from benchmarks.shapes import fan
from benchmarks.workload import Effort


def measure(lab: Lab, effort: Effort) -> Findings:
    """Each round drains raw tasks, then runs the narrower and the wider plan."""
    narrow, wide = effort.size(1000, 10), effort.size(10_000, 50)
    plans = {width: plan("fan", fan(width)) for width in (narrow, wide)}
    raw: list[float] = []
    costs: dict[int, list[float]] = {width: [] for width in plans}
    for _ in range(effort.rounds):
        raw.append(lab.drain(narrow) / narrow * 1000)
        for width, given in plans.items():
            costs[width].append(lab.run(given)[0] / (width + 2) * 1000)
    raw_cost = Figure.median("raw, each", raw, "ms")
    narrow_cost = Figure.median(f"1-{narrow}-1, each", costs[narrow], "ms")
    wide_cost = Figure.median(f"1-{wide}-1, each", costs[wide], "ms")
    return Findings(
        (
            raw_cost,
            narrow_cost,
            wide_cost,
            Figure.ratio("narrow / raw", narrow_cost, raw_cost),
            Figure.ratio("wide / raw", wide_cost, raw_cost),
            Figure.ratio("wide / narrow", wide_cost, narrow_cost),
        ),
        (Promise("an action of a ten times wider level costs about the same", "wide / narrow", 1.2),),
    )

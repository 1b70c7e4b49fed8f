"""One action alone: what a plan costs before it does anything."""

from __future__ import annotations

from benchmarks.app import raw_answer
from benchmarks.figures import Figure, Findings, Promise
from benchmarks.lab import Lab
from benchmarks.plans import plan
from benchmarks.shapes import chain
from benchmarks.workload import Effort


def measure(lab: Lab, effort: Effort) -> Findings:
    """A raw task with a result and a plan by turns; the samples are single calls."""
    given, calls = plan("single", chain(1)), effort.rounds * effort.size(20, 3)
    raw, whole = [], []
    for _ in range(calls):
        raw.append(lab.answer(raw_answer) * 1000)
        whole.append(lab.run(given)[0] * 1000)
    raw_time = Figure.median("raw, .delay() to result, p50", raw, "ms")
    plan_time = Figure.median("plan, .delay() to state, p50", whole, "ms")
    tails = Figure.p95("raw, p95", raw, "ms"), Figure.p95("plan, p95", whole, "ms")
    promise = Promise("a plan of one action against a raw task with a result, p50", "plan / raw", 2.0)
    return Findings((raw_time, plan_time, *tails, Figure.ratio("plan / raw", plan_time, raw_time)), (promise,))

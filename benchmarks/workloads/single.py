"""One action alone: what a plan costs before it does anything."""

from __future__ import annotations

from celery import chain as celery_chain

from benchmarks.app import raw_answer, raw_noop
from benchmarks.figures import Figure, Findings, Promise
from benchmarks.lab import Lab
from benchmarks.plans import plan
from benchmarks.shapes import chain
from benchmarks.workload import Effort


def measure(lab: Lab, effort: Effort) -> Findings:
    """A raw task with a result, a plan, and a chain of three raw tasks by turns; the samples are single calls.

    Three messages, one after the other, are what a plan of one action is: none can be quicker than this chain.
    """
    given, calls = plan("single", chain(1)), effort.rounds * effort.size(20, 3)
    raw, whole, chained = [], [], []
    for _ in range(calls):
        raw.append(lab.answer(raw_answer) * 1000)
        whole.append(lab.run(given)[0] * 1000)
        # Made anew: a chain keeps the ids that it was sent with.
        three = celery_chain(raw_noop.si(), raw_noop.si(), raw_answer.si())
        chained.append(lab.answer(three) * 1000)
    raw_time = Figure.median("raw, .delay() to result, p50", raw, "ms")
    plan_time = Figure.median("plan, .delay() to state, p50", whole, "ms")
    chain_time = Figure.median("three raw tasks in a chain, p50", chained, "ms")
    tails = Figure.p95("raw, p95", raw, "ms"), Figure.p95("plan, p95", whole, "ms")
    promise = Promise("a plan of one action against a raw task with a result, p50", "plan / raw", 2.0)
    ratios = Figure.ratio("plan / raw", plan_time, raw_time), Figure.ratio("three raw / raw", chain_time, raw_time)
    return Findings((raw_time, plan_time, chain_time, *tails, *ratios), (promise,))

"""How fast messages are made: handing a plan in, and publishing the messages of a wide level."""

from __future__ import annotations

import time

from benchmarks.app import raw_noop
from benchmarks.figures import Figure, Findings, Promise
from benchmarks.lab import Lab
from benchmarks.plans import plan
from benchmarks.shapes import wide
from benchmarks.workload import Effort
from workflow_state import StateManager, execute_plan

#: A queue without a worker: what is sent to it stays, and running it takes no time from sending.
PARKED = "parked"


def measure(lab: Lab, effort: Effort) -> Findings:
    """By turns: a loop of ``.delay()``, and a plan of one level whose actions all go to a queue that nobody reads.

    The clock of the loop runs over the loop; that of the plan from its first message in the queue to its last.
    """
    width = effort.size(10_000, 50)
    given = plan("wide", wide(width), queue=PARKED)
    delayed, published, submitted = [], [], []
    for _ in range(effort.rounds):
        delayed.append(width / _loop(lab, width))
        submit, seconds = _plan(lab, given, width)
        submitted.append(submit * 1000)
        published.append(width / seconds)
    loop_rate = Figure.median("raw, .delay() in a loop", delayed, "/s")
    plan_rate = Figure.median("messages of a level", published, "/s")
    submit_time = Figure.median(f".delay() of a plan of {width} actions", submitted, "ms")
    ratio = Figure.ratio("loop / level", loop_rate, plan_rate)
    promise = Promise("publishing at least twice as fast as a .delay() loop", ratio.name, 0.5)
    return Findings((loop_rate, plan_rate, ratio, submit_time), (promise,))


def _loop(lab: Lab, count: int) -> float:
    lab.await_quiet()
    start = time.perf_counter()
    for _ in range(count):
        raw_noop.apply_async(queue=PARKED)
    seconds = time.perf_counter() - start
    lab.client.delete(PARKED)
    return seconds


def _plan(lab: Lab, given: dict[str, object], width: int) -> tuple[float, float]:
    lab.await_quiet()
    start = time.perf_counter()
    result = execute_plan.delay(given)
    submitted = time.perf_counter()
    lab.wait_for(lambda: lab.client.llen(PARKED) > 0, "the first message is there", poll=0.001)
    first, before = time.perf_counter(), int(lab.client.llen(PARKED))
    lab.wait_for(lambda: lab.client.llen(PARKED) >= width, "the last message is there")
    seconds = (time.perf_counter() - first) * width / max(1, width - before)
    StateManager(lab.app).cancel_execution(result.id)
    lab.client.delete(PARKED)
    lab.await_quiet()
    return submitted - start, seconds

"""Celery's own canvas: every level a chord whose body is a task that does nothing, and then the next level.

Two groups in a row would run the second one's tasks many times over, in Celery 5.7 as in 5.6; a task between them
does not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery, chain, group

from benchmarks.peers.programs import protocol
from benchmarks.shapes import Graph, levels

app = Celery("canvas", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, task_reject_on_worker_lost=True)


@app.task(name="noop")
def noop() -> None:
    """The task that does nothing; a chord needs its result."""


def executed() -> int:
    """How many tasks the worker has run so far."""
    stats = app.control.inspect().stats() or {}
    return sum(sum(found["total"].values()) for found in stats.values())


def run(graph: Graph) -> protocol.Run:
    """The plan as one canvas. How often its tasks ran is asked when the clock has stopped."""
    parts = []
    for level in levels(graph):
        if len(level) == 1:
            parts.append(noop.si())
        else:
            parts += [group(noop.si() for _ in level), noop.si()]
    before, needed = executed(), len(graph) + sum(len(level) > 1 for level in levels(graph))
    start = time.perf_counter()
    chain(*parts).apply_async().get(timeout=120)
    seconds = time.perf_counter() - start
    ran = executed() - before
    return protocol.Run(seconds, "" if ran <= needed else f"ran {ran} tasks for {needed}")


@contextmanager
def started() -> Iterator[protocol.Runner]:
    """One worker of two processes, set like the engine's."""
    command = ["celery", "-A", "benchmarks.peers.programs.on_celery", "worker", "-c", str(protocol.PROCESSES)]
    with protocol.workers(command):
        protocol.until(lambda: app.control.ping(timeout=0.5))
        yield run


if __name__ == "__main__":
    protocol.serve(started, "celery", "kombu", "redis")

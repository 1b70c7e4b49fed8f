"""celery-dyrygent: a task that looks at the results of the others, starts what is ready, and retries itself."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery
from celery_dyrygent.tasks import register_workflow_processor
from celery_dyrygent.workflows import Workflow

from benchmarks.peers.programs import protocol
from benchmarks.shapes import Graph

app = Celery("dyrygent", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, task_reject_on_worker_lost=True)
register_workflow_processor(app)


@app.task(name="noop")
def noop() -> None:
    """The task that does nothing."""


def run(graph: Graph) -> protocol.Run:
    """The graph as it is, with the shortest pause between two looks that it takes: one second."""
    workflow = Workflow()
    workflow.set_retry_policy("random", 1, 1)
    start = time.perf_counter()
    nodes = []
    for dependencies in graph:
        signature = noop.si()
        signature.freeze()
        nodes.append(workflow.add_signature(signature, [nodes[other] for other in dependencies]))
    workflow.apply_async().get(timeout=600)
    return protocol.Run(time.perf_counter() - start)


@contextmanager
def started() -> Iterator[protocol.Runner]:
    """One worker of two processes, set like the engine's."""
    command = ["celery", "-A", "benchmarks.peers.programs.on_dyrygent", "worker", "-c", str(protocol.PROCESSES)]
    with protocol.workers(command):
        protocol.until(lambda: app.control.ping(timeout=0.5))
        yield run


if __name__ == "__main__":
    protocol.serve(started, "celery-dyrygent", "celery", "redis")

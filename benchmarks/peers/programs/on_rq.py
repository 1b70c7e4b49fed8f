"""rq: every action is a job that names those it depends on, as rq knows dependencies itself."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis
from rq import Queue

from benchmarks.peers.programs import protocol
from benchmarks.peers.programs.work import noop
from benchmarks.shapes import Graph


@contextmanager
def started() -> Iterator[protocol.Runner]:
    """Workers that run jobs in their own process: rq's usual worker forks for every job, which is slower."""
    url = os.environ["REDIS_URL"]
    queue = Queue(connection=Redis.from_url(url))
    finished = queue.finished_job_registry

    def run(graph: Graph) -> protocol.Run:
        before = finished.get_job_count(cleanup=False)
        start = time.perf_counter()
        jobs = []
        for dependencies in graph:
            jobs.append(queue.enqueue(noop, depends_on=[jobs[other] for other in dependencies] or None))
        protocol.until(lambda: finished.get_job_count(cleanup=False) - before == len(graph))
        return protocol.Run(time.perf_counter() - start)

    command = ["rq", "worker", "--quiet", "--worker-class", "rq.SimpleWorker", "--url", url]
    with protocol.workers(command, protocol.PROCESSES):
        run([[]])
        yield run


if __name__ == "__main__":
    protocol.serve(started, "rq", "redis")

"""Prefect 3: a flow that submits its tasks, each told which others to wait for."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.futures import wait
from prefect.task_runners import ThreadPoolTaskRunner

from benchmarks.peers.programs import protocol
from benchmarks.shapes import Graph


@task(persist_result=True)
def noop() -> None:
    """The task that does nothing; its result is stored."""


@flow(task_runner=ThreadPoolTaskRunner())
def plan(graph: Graph) -> int:
    """Submit everything at once; how many tasks completed."""
    futures = []
    for dependencies in graph:
        futures.append(noop.submit(wait_for=[futures[other] for other in dependencies]))
    wait(futures)
    return sum(future.state.is_completed() for future in futures)


def run(graph: Graph) -> protocol.Run:
    """One run of the flow, in this process."""
    start = time.perf_counter()
    completed = plan(graph)
    seconds = time.perf_counter() - start
    return protocol.Run(seconds, "" if completed == len(graph) else f"{completed} of {len(graph)} completed")


def _answers() -> bool:
    with get_client(sync_client=True) as client:
        return client.api_healthcheck() is None


@contextmanager
def started() -> Iterator[protocol.Runner]:
    """A Prefect server with its SQLite database, and the flow in this process."""
    port = os.environ["PREFECT_API_URL"].split(":")[-1].removesuffix("/api")
    with protocol.workers(["prefect", "server", "start", "--port", port, "--no-ui"]):
        protocol.until(_answers, poll=0.2)
        run([[]])
        yield run


if __name__ == "__main__":
    protocol.serve(started, "prefect")

"""dramatiq: a chain is a pipeline; levels are groups, each with a completion callback that starts the next."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits.backends import RedisBackend as Barriers
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from redis import Redis

from benchmarks.peers.programs import protocol
from benchmarks.shapes import Graph, levels

URL = os.environ["REDIS_URL"]

broker = RedisBroker(url=URL)
broker.add_middleware(GroupCallbacks(Barriers(url=URL)))
broker.add_middleware(Results(backend=RedisBackend(url=URL)))
dramatiq.set_broker(broker)
server = Redis.from_url(URL)


@dramatiq.actor(store_results=True)
def noop() -> None:
    """The actor that does nothing; its result is stored."""


@dramatiq.actor
def advance(widths: list[int], level: int, done: str) -> None:
    """Start a level, and have the next one started after it; after the last one say so."""
    if level == len(widths):
        server.rpush(done, 1)
        return
    group = dramatiq.group([noop.message() for _ in range(widths[level])])
    group.add_completion_callback(advance.message(widths, level + 1, done))
    group.run()


def run(graph: Graph) -> protocol.Run:
    """One action after the other as a pipeline, everything else level by level."""
    widths = [len(level) for level in levels(graph)]
    start = time.perf_counter()
    if set(widths) == {1}:
        steps = [noop.message_with_options(pipe_ignore=True) for _ in widths]
        dramatiq.pipeline(steps).run().get_result(block=True, timeout=60_000)
    else:
        done = uuid.uuid4().hex
        advance.send(widths, 0, done)
        if server.blpop([done], timeout=60) is None:
            raise TimeoutError("the last group did not end within 60 s")
    return protocol.Run(time.perf_counter() - start)


@contextmanager
def started() -> Iterator[protocol.Runner]:
    """The usual eight threads in each of two processes."""
    command = ["dramatiq", "--processes", str(protocol.PROCESSES), "benchmarks.peers.programs.on_dramatiq"]
    with protocol.workers(command):
        run([[]])
        yield run


if __name__ == "__main__":
    protocol.serve(started, "dramatiq", "redis")

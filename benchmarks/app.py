"""The Celery app of the benchmarks: the client and the worker both use it.

Its configuration is the durable one that users get; both kinds of work stand side by side in it, so that
they are measured with the same acknowledgements, prefetching and serialization.
"""

from __future__ import annotations

import itertools
import time

from celery import Celery
from kombu import Queue

from workflow_state import action
from workflow_state.runtime.messages import send_all

#: A queue whose messages nobody acknowledges; its worker takes no more of them than it can run.
LOOSE = "loose"
#: Key of the number of ``raw_twice`` that have run.
TWICE_DONE = "benchmarks:done"

app = Celery("benchmarks", config_source="workflow_state.durable", set_as_current=True)
app.conf.update(task_queues=[Queue("celery"), Queue(LOOSE, no_ack=True)], worker_disable_prefetch=True)
app.set_default()


@app.task(name="benchmarks.noop", ignore_result=True, acks_late=True)
def raw_noop() -> None:
    """The unit of everything: a task that does nothing and keeps no result."""


@app.task(name="benchmarks.twice", ignore_result=True, acks_late=True)
def raw_twice() -> None:
    """The least that a lease before and a record after a task can cost: two commands, and nothing is decided."""
    _ask_twice(raw_twice.request.id)


@app.task(name="benchmarks.twice_in_levels", ignore_result=True, acks_late=True)
def raw_twice_in_levels(width: int, count: int, queue: str) -> None:
    """The same, in levels: whoever ends the last of ``width`` sends the next ones, until ``count`` have run."""
    done = _ask_twice(raw_twice_in_levels.request.id)
    if done % width == 0 and done < count:
        send_level(width, count, queue)


def send_level(width: int, count: int, queue: str) -> None:
    """Send one level of ``raw_twice_in_levels``, as cheaply as the engine sends its own."""
    signature = raw_twice_in_levels.s(width, count, queue).set(queue=queue)
    send_all(app, itertools.repeat(signature, width), lambda: None)


def _ask_twice(task_id: str) -> int:
    """Two commands; how many tasks have sent theirs."""
    client = app.backend.client
    client.set(f"benchmarks:{task_id}", "leased", nx=True, px=30_000)
    return int(client.incr(TWICE_DONE))


@app.task(name="benchmarks.answer", acks_late=True)
def raw_answer() -> None:
    """A task that does nothing and whose result is stored."""


@app.task(name="benchmarks.stamp", acks_late=True)
def raw_stamp() -> float:
    """When it ran, by the machine's monotonic clock, which is one for all processes on Linux and macOS."""
    return time.monotonic()


@action("benchmarks.noop")
def noop() -> None:
    """The action that does nothing."""


@action("benchmarks.stamp")
def stamp() -> float:
    """When it ran, by the same clock."""
    return time.monotonic()


@action("benchmarks.sleep")
def sleep(seconds: float) -> None:
    """Take a while without a processor."""
    time.sleep(seconds)

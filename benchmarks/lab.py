"""The place where everything is measured: one server, one worker, and the two kinds of work on them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import Celery
from redis import Redis

from benchmarks.app import LOOSE, TWICE_DONE, raw_twice, send_level
from benchmarks.plans import Plan
from benchmarks.worker import BenchmarkError, running_worker
from workflow_state import ExecutionStatus, StateManager, Success, execute_plan
from workflow_state.embedded import EmbeddedServer

#: Append-only file, synchronized every second: what a durable set-up has.
SERVER_SETTINGS = {"appendfsync": "everysec"}
#: Seconds between two looks at the queue; shorter ones would take processor time from the worker.
POLL = 0.002
#: What its worker reads.
QUEUES = f"celery,{LOOSE}"
#: Seconds; a plan of 100,000 actions takes minutes.
TIMEOUT = 1800.0


@dataclass(frozen=True, slots=True)
class Lab:
    """Measures on one app whose only worker is ours. Times are seconds.

    ``raw_task``: the no-op task that everything is compared with. ``worker_pid``: of the worker's main process.
    """

    app: Celery
    raw_task: Any
    worker_pid: int

    @property
    def client(self) -> Any:
        """Of the server that is broker and result backend at once."""
        return self.app.backend.client

    @property
    def server_pid(self) -> int:
        """The server's process."""
        return int(self.client.info("server")["process_id"])

    def drain(self, count: int, poll: float = POLL) -> float:
        """How long the worker takes for ``count`` raw no-op tasks that all wait in its queue.

        It stops consuming while they are published. The clock runs from the first message that leaves the
        queue until queue and unacknowledged messages are gone. ``poll``: seconds between two looks.
        """
        start = self._consume(self.raw_task, count, self.app.conf.task_default_queue, poll)
        return self.await_quiet(poll) - start

    def drain_twice(self, count: int, queue: str) -> float:
        """As :meth:`drain`, of so many ``raw_twice`` in a queue; the clock runs until the last one has run."""
        self.client.delete(TWICE_DONE)
        start = self._consume(raw_twice, count, queue, POLL)
        self.wait_for(lambda: int(self.client.get(TWICE_DONE) or 0) == count, "all raw tasks have run")
        return time.perf_counter() - start

    def levels_twice(self, width: int, count: int, queue: str) -> float:
        """How long ``count`` tasks that ask the server twice take in levels, from sending the first level on."""
        self.await_quiet()
        self.client.delete(TWICE_DONE)
        start = time.perf_counter()
        send_level(width, count, queue)
        self.wait_for(lambda: int(self.client.get(TWICE_DONE) or 0) == count, "all raw tasks have run")
        return time.perf_counter() - start

    def run(self, plan: Plan) -> tuple[float, str]:
        """How long a plan takes from ``.delay()`` until the caller has the final state; and its id.

        Raises:
            BenchmarkError: it did not complete with all of its actions.
        """
        self.await_quiet()
        start = time.perf_counter()
        result = execute_plan.delay(plan)
        state = result.get(timeout=TIMEOUT)
        seconds = time.perf_counter() - start
        completed, total = state.metrics.completed_actions, len(plan["actions"])
        if state.status != ExecutionStatus.COMPLETED or completed != total:
            raise BenchmarkError(f"{plan['name']} ended {state.status} with {completed} of {total} actions")
        return seconds, result.id

    def answer(self, task: Any) -> float:
        """How long it takes from ``.delay()`` of a raw task until the caller has its result."""
        self.await_quiet()
        start = time.perf_counter()
        task.delay().get(timeout=TIMEOUT)
        return time.perf_counter() - start

    def latencies(self, task: Any, count: int) -> list[float]:
        """From ``.delay()`` of a raw task until it ran, one after the other; it returns its clock."""
        samples = []
        for _ in range(count):
            self.await_quiet()
            start = time.monotonic()
            samples.append(float(task.delay().get(timeout=TIMEOUT)) - start)
        return samples

    def outputs(self, execution_id: str) -> list[Any]:
        """The outputs of the actions of an execution that has ended, in the plan's order."""
        states = StateManager(self.app).get_full_state(execution_id).action_states.values()
        return [state.result.output for state in states if isinstance(state.result, Success)]

    def at_work(self, execution_id: str) -> float:
        """Seconds from the first start of an action to the last end of one, by the clock of the server."""
        states = StateManager(self.app).get_full_state(execution_id).action_states.values()
        starts = [state.started_at for state in states if state.started_at is not None]
        ends = [state.completed_at for state in states if state.completed_at is not None]
        return (max(ends) - min(starts)).total_seconds()

    @contextmanager
    def database(self, number: int) -> Iterator[str]:
        """The URL of another database of the server, empty before and after."""
        url = f"{self.app.conf.broker_url.rpartition('/')[0]}/{number}"
        with Redis.from_url(url) as client:
            client.flushdb()
            try:
                yield url
            finally:
                client.flushdb()

    def await_quiet(self, poll: float = POLL) -> float:
        """Wait until no message is queued or unacknowledged; the moment from which that was so."""
        quiet_since = None
        deadline = time.perf_counter() + TIMEOUT
        while time.perf_counter() < deadline:
            with self.client.pipeline(transaction=False) as pipe:
                pipe.llen(self.app.conf.task_default_queue)
                pipe.hlen("unacked")
                busy = any(pipe.execute())
            # Twice, since a message that has just left the queue is not noted as unacknowledged yet.
            if not busy and quiet_since is not None:
                return quiet_since
            quiet_since = None if busy else time.perf_counter()
            time.sleep(poll)
        raise BenchmarkError(f"messages are still under way after {TIMEOUT:g} s")

    def _consume(self, task: Any, count: int, queue: str, poll: float) -> float:
        """Queue so many of a task while the worker does not consume, and let it; when the first has left the queue."""
        self.await_quiet()
        self.app.control.cancel_consumer(queue, reply=True, limit=1)
        with self.app.producer_or_acquire() as producer, producer.batch():
            for _ in range(count):
                task.apply_async(producer=producer, queue=queue)
        # The consumer may have taken one before it stopped; it gives it back.
        self.wait_for(lambda: self.client.llen(queue) == count, "all raw tasks are queued", poll)
        self.app.control.add_consumer(queue)
        self.wait_for(lambda: self.client.llen(queue) < count, "the worker consumes again", poll / 4)
        return time.perf_counter()

    def wait_for(self, condition: Callable[[], bool], what: str, poll: float = POLL) -> None:
        """Look until something is so.

        Raises:
            BenchmarkError: it never was.
        """
        deadline = time.perf_counter() + TIMEOUT
        while not condition():
            if time.perf_counter() > deadline:
                raise BenchmarkError(f"not within {TIMEOUT:g} s: {what}")
            time.sleep(poll)


@contextmanager
def open_lab(app: Celery, raw_task: Any) -> Iterator[Lab]:
    """Start a server and a worker of our own, and end them with the block."""
    with EmbeddedServer(settings=SERVER_SETTINGS) as server, tempfile.TemporaryDirectory() as folder:
        app.conf.update(broker_url=server.url, result_backend=server.url)
        with running_worker(app, server.url, Path(folder) / "worker.log", queue=QUEUES) as worker_pid:
            yield Lab(app, raw_task, worker_pid)

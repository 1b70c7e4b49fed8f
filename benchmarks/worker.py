"""One real ``celery worker`` process, for as long as a block lasts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from celery import Celery

#: Pool processes: as many as the figures of the design were measured with.
CONCURRENCY = 2
#: Seconds; a pool of many processes takes a while to fork.
START_TIMEOUT = 120.0
STOP_TIMEOUT = 20.0
ROOT = Path(__file__).resolve().parents[1]


class BenchmarkError(Exception):
    """The benchmark could not be carried out; that says nothing about speed."""


@contextmanager
def running_worker(
    app: Celery, url: str, log: Path, *, queue: str = "celery", concurrency: int = CONCURRENCY
) -> Iterator[int]:
    """Start a worker of a queue, or of some with commas between, on the server at ``url``; end it with the block.

    Raises:
        BenchmarkError: it did not answer in time; the message ends with its log.
    """
    name = f"{queue.partition(',')[0]}@benchmarks"
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.app", "worker"]
    command += ["-Q", queue, "-c", str(concurrency), "-n", name]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "REDIS_URL": url, "PYTHONPATH": path}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=env, stdout=output, stderr=subprocess.STDOUT)
    try:
        _await_answer(app, name, process, log)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_answer(app: Celery, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not app.control.ping([name], timeout=0.5, limit=1):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchmarkError(f"The worker did not start. Its log:\n{log.read_text()[-3000:]}")

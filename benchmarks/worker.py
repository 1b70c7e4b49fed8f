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
START_TIMEOUT = 30.0
STOP_TIMEOUT = 20.0
ROOT = Path(__file__).resolve().parents[1]


class BenchmarkError(Exception):
    """The benchmark could not be carried out; that says nothing about speed."""


@contextmanager
def running_worker(app: Celery, url: str, log: Path) -> Iterator[None]:
    """Start a worker on the server at ``url`` and end it with the block.

    Raises:
        BenchmarkError: it did not answer in time; the message ends with its log.
    """
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.app", "worker", "-c", str(CONCURRENCY)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "REDIS_URL": url, "PYTHONPATH": path}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=env, stdout=output, stderr=subprocess.STDOUT)
    try:
        _await_answer(app, process, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_answer(app: Celery, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not app.control.ping(timeout=0.5, limit=1):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchmarkError(f"The worker did not start. Its log:\n{log.read_text()[-3000:]}")

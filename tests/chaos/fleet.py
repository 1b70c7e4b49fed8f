"""Celery workers under supervision: real processes, started again when their main process is gone.

This is what systemd or ``restart: always`` does in production, and what Celery 5.7 needs: its main process
can end when it loses its broker.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support import alive, wait_until

ROOT = Path(__file__).parents[2]
READY_TIMEOUT = 60.0
WATCH = 0.1
"""Seconds between two looks of the supervisor."""


class Worker:
    """One place for a worker: one main process at a time, each in a process group of its own.

    No process is collected before the end, so no process id in here can come to mean another process.
    """

    def __init__(self, name: str, environ: Mapping[str, str], log: Path, *options: str) -> None:
        self.name, self.log = name, log
        self._environ = {**os.environ, **environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self._command = [
            *(sys.executable, "-m", "celery", "-A", "tests.chaos.worker", "worker"),
            *("--hostname", f"{name}@chaos", "--loglevel", "INFO", "--without-gossip", "--without-mingle"),
            *options,
        ]
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def pid(self) -> int:
        """Of the newest main process."""
        return self.processes[-1].pid

    @property
    def running(self) -> bool:
        """Whether the newest main process lives."""
        return bool(self.processes) and alive(self.pid)

    @property
    def ready(self) -> bool:
        """Whether as many starts as there were have come to consuming messages."""
        return self.output.count(f"{self.name}@chaos ready.") >= len(self.processes)

    @property
    def output(self) -> str:
        """Everything it wrote, of all starts."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def children(self) -> list[int]:
        """Process ids of the pool of the newest main process."""
        return children_of(self.pid)

    def start(self) -> None:
        """Start a main process."""
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)

    def signal(self, number: int, *, group: bool = True) -> None:
        """Send a signal to the newest main process, or to all of its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number) if group else os.kill(self.pid, number)

    def end(self) -> None:
        """SIGKILL whatever is left of all starts."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Fleet:
    """Some workers under supervision: a context manager; at its end nothing of them is left.

    Args:
        environ: of all of them, on top of this process's.
        log_dir: for their output.
        workers: how many main processes.
        concurrency: children of each.
    """

    def __init__(self, environ: Mapping[str, str], log_dir: Path, workers: int = 2, concurrency: int = 2) -> None:
        self._environ, self._log_dir, self._concurrency = environ, log_dir, concurrency
        self.workers: list[Worker] = []
        self._wanted = workers
        self._supervised = True
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._supervise, name="chaos-supervisor", daemon=True)

    @property
    def restarts(self) -> int:
        """How many main processes were started again."""
        return sum(len(worker.processes) - 1 for worker in self.workers)

    def add(self, *options: str) -> Worker:
        """Start one more worker, with more options of the command; it may not be ready yet."""
        name = f"w{len(self.workers)}"
        worker = Worker(
            name, self._environ, self._log_dir / f"{name}.log", "--concurrency", str(self._concurrency), *options
        )
        with self._lock:
            worker.start()
            self.workers.append(worker)
        return worker

    def wait_ready(self) -> None:
        """Wait until all of them take messages."""
        wait_until(lambda: all(w.ready for w in self.workers), READY_TIMEOUT, f"workers are ready\n{self.tails()}")

    def abandon(self) -> None:
        """From now on a main process that ends stays away."""
        with self._lock:
            self._supervised = False

    def lines(self, text: str) -> list[str]:
        """Lines of all logs that contain a text."""
        return [line for worker in self.workers for line in worker.output.splitlines() if text in line]

    def tails(self, lines: int = 40) -> str:
        """The end of each log, for the message of a failure."""
        return "\n".join(f"== {w.name}\n" + "\n".join(w.output.splitlines()[-lines:]) for w in self.workers)

    def __enter__(self) -> Self:
        try:
            for _ in range(self._wanted):
                self.add()
            self.wait_ready()
        except BaseException:
            self._end()
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._end()

    def _supervise(self) -> None:
        while not self._ended.wait(WATCH):
            with self._lock:
                for worker in self.workers if self._supervised else ():
                    if not worker.running:
                        worker.start()

    def _end(self) -> None:
        for worker in self.workers:
            worker.end()


def children_of(pid: int) -> list[int]:
    """Living child processes."""
    return [child for child, parent in _parents() if parent == pid and alive(child)]


def _parents() -> Iterator[tuple[int, int]]:
    if Path("/proc/self/stat").exists():
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    # After the name, which may contain anything but is in parentheses, come state and parent.
                    yield int(entry.name), int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                except (FileNotFoundError, ProcessLookupError):
                    continue
    else:
        listing = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        for line in listing.splitlines():
            pid, parent = line.split()
            yield int(pid), int(parent)

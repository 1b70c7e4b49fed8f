"""A Celery worker as a process of ours: started, waited for, and ended with everything that it started."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import click

from workflow_state.cli.worker_side import READY

#: Seconds between two looks whether a worker that is starting still lives.
LOOK = 0.1
#: Bytes of the log that are kept at hand for an error message.
TAIL_BYTES = 20_000


class WorkerProcessError(click.ClickException):
    """A worker did not come up, or ended; the message has its last words. A command exits with 1."""


class WorkerProcess:
    """``celery -A TARGET worker`` in a session of its own: a context manager, or ``start`` and ``stop``.

    Ctrl-C in the terminal does not reach it, so that whoever started it decides how it ends. It does not
    outlive its starter, also when that is killed.

    Args:
        target: the app, as ``celery -A`` names it.
        name: its node name, which no other worker may have; one is made up when None.
        concurrency: pool processes.
        queues: what it consumes; none given: the app's default queue.
        environ: variables besides those of this process.
        cwd: where it runs and imports from; the current directory when None.
        start_timeout: seconds until it has to take messages.
        stop_timeout: seconds that running tasks get to end, before it is killed.
    """

    def __init__(
        self,
        target: str,
        *,
        name: str | None = None,
        concurrency: int = 4,
        queues: Iterable[str] = (),
        environ: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        start_timeout: float = 30.0,
        stop_timeout: float = 5.0,
    ) -> None:
        self._cwd = cwd
        self._environ = {**os.environ, **(environ or {})}
        self._start_timeout, self._stop_timeout = start_timeout, stop_timeout
        self._command = [sys.executable, "-m", "celery", "-A", target, "worker", "--loglevel", "INFO"]
        name = name or f"worker-{uuid.uuid4().hex[:8]}@localhost"
        self._command += ["--hostname", name, "--concurrency", str(concurrency)]
        # Nothing to learn from other workers, and a second less to wait for them.
        self._command += ["--without-mingle", "--without-gossip"]
        self._command += ["--include", "workflow_state.cli.worker_side"]
        if names := ",".join(queues):
            self._command += ["--queues", names]
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._log = -1

    @property
    def pid(self) -> int:
        """Process id of its main process; 0 before ``start`` and after ``stop``."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether its main process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start it; :meth:`wait_ready` says when it is up."""
        self._socket, theirs = socket.socketpair()
        # The log has no name in the file system, so that nothing of it is left however this process ends.
        with theirs, tempfile.TemporaryFile() as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=theirs.fileno(),
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._cwd,
                env=self._environ,
                start_new_session=True,
            )
            self._log = os.dup(log.fileno())
        return self

    def wait_ready(self) -> None:
        """Return when it takes messages.

        Raises:
            WorkerProcessError: it ended, or was not ready in time; with the end of its log.
        """
        deadline = time.monotonic() + self._start_timeout
        while not self._said_ready():
            self.check()
            if time.monotonic() > deadline:
                raise WorkerProcessError(
                    f"The worker was not ready within {self._start_timeout:g} s. {self.last_words()}"
                )

    def check(self) -> None:
        """Do nothing while it lives.

        Raises:
            WorkerProcessError: it does not; with the end of its log.
        """
        if not self.running:
            code = self._process.returncode if self._process else None
            how = "was not started" if code is None else f"ended with exit code {code}"
            if code is not None and code < 0:
                how = f"was ended by {signal.Signals(-code).name}"
            raise WorkerProcessError(f"The worker {how}. {self.last_words()}")

    def last_words(self, lines: int = 20) -> str:
        """The end of its log."""
        if self._log < 0:
            return "It has no log."
        start = max(0, os.fstat(self._log).st_size - TAIL_BYTES)
        text = os.pread(self._log, TAIL_BYTES, start).decode(errors="replace")
        kept = [line for line in text.splitlines() if line.strip()][-lines:]
        return "\n".join(["Its last words:", *(f"  | {line}" for line in kept or ["(none)"])])

    def stop(self, timeout: float | None = None) -> None:
        """End it: SIGTERM, ``timeout`` (or else ``stop_timeout``), SIGKILL for what is left. Again: no effect."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.terminate()
            process.wait(self._stop_timeout if timeout is None else timeout)
        except subprocess.TimeoutExpired:
            process.kill()
        finally:
            # Its pool, if it could not end that itself; also when a second Ctrl-C ended the wait above.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self._release()

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _said_ready(self) -> bool:
        """Whether it says so within ``LOOK`` seconds; also no when it closed its end."""
        if self._socket is None or not select.select([self._socket], [], [], LOOK)[0]:
            return False
        return self._socket.recv(1) == READY

    def _release(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

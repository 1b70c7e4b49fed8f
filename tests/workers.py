"""Real Celery workers as subprocesses, and what a test needs to talk to one.

A :class:`Site` is one Celery app on a Redis database of its own: the client's side of it lives in the test
process, its workers are other processes. Nothing is shared between two sites but the server.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import redis
from celery import Celery, current_app

from tests.support import wait_until

ROOT = Path(__file__).parents[1]
READY_TIMEOUT = 30.0
STOP_TIMEOUT = 15.0
EFFECTS = "test-effects"
"""Prefix of the keys in which ``tests.integration.actions`` leaves its side effects."""

SCHEDULE: ContextVar[str | None] = ContextVar("schedule", default=None)
"""Of the plans that :func:`plan` makes, where a test runs in both; None: as the app's settings say."""

RUNNING: list[Worker] = []
"""Workers of this session that have not been ended, for the report of a failed test."""


class Worker:
    """One ``celery worker`` process, in a process group of its own.

    Args:
        app: module of its Celery app.
        environ: added to this process's environment.
        log: file for its output.
        options: of the ``worker`` command.
        quiet: it prints no banner.
        cwd: where it runs.
    """

    def __init__(
        self, app: str, environ: dict[str, str], log: Path, *options: str, quiet: bool = False, cwd: Path = ROOT
    ) -> None:
        self.log = log
        self.killed = False
        self.name = f"w{uuid.uuid4().hex[:8]}"
        self.command = [
            *(sys.executable, "-m", "celery", *(["--quiet"] if quiet else []), "-A", app, "worker"),
            *("--loglevel", "INFO", "--hostname", self.address, "--without-gossip", "--without-mingle"),
            *options,
        ]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=cwd,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        RUNNING.append(self)

    @property
    def pid(self) -> int:
        """Process id of the main process; also that of its process group."""
        return self.process.pid

    @property
    def address(self) -> str:
        """Its node name, for remote control."""
        return f"{self.name}@test"

    @property
    def output(self) -> str:
        """Everything that it has written so far."""
        return self.log.read_text(errors="replace")

    def tail(self, lines: int = 60) -> str:
        """The end of its output."""
        return "\n".join(self.output.splitlines()[-lines:])

    def wait_ready(self) -> None:
        """Wait until it consumes; a worker that ends instead fails the test with its last words."""

        def ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"the worker ended with {self.process.returncode}:\n{self.tail()}")
            return f"{self.address} ready." in self.output

        wait_until(ready, READY_TIMEOUT, f"worker {self.name} is ready")

    def stop(self) -> None:
        """SIGTERM, wait, SIGKILL; and nothing of its process group is left."""
        if self in RUNNING:
            RUNNING.remove(self)
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._kill_group()

    def kill(self) -> None:
        """SIGKILL the whole of it at once, as a power cut would."""
        self.killed = True
        if self in RUNNING:
            RUNNING.remove(self)
        self._kill_group()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


class Site:
    """One app on one database: its client side, its workers, and the side effects of its actions.

    Args:
        app: the Celery app object, in this process.
        module: where a worker finds it.
        url: of its database.
        log_dir: for the logs of its workers.
    """

    def __init__(self, app: Celery, module: str, url: str, log_dir: Path) -> None:
        self.app, self.module, self.url, self.log_dir = app, module, url, log_dir
        self.redis = redis.Redis.from_url(url, decode_responses=True)
        self.environ = {"REDIS_URL": url, "WORKFLOW_STATE_ACTIONS": "tests.integration.actions"}
        self.workers: list[Worker] = []
        app.conf.update(broker_url=url, result_backend=url)

    @property
    def prefix(self) -> str:
        """Of the library's keys."""
        return str((self.app.conf.get("workflow_state") or {}).get("prefix", "workflow-state"))

    @property
    def queue(self) -> str:
        """The app's default queue."""
        return str(self.app.conf.task_default_queue)

    def settings(self, **celery: Any) -> None:
        """More Celery settings for workers that are started from now on (see ``own_app``)."""
        self.environ["SHOP_SETTINGS"] = json.dumps(celery)

    def start_worker(self, *options: str, concurrency: int = 2, quiet: bool = False) -> Worker:
        """Start a worker of the app and wait until it is ready."""
        log = self.log_dir / f"{self.app.main}-{len(self.workers)}.log"
        worker = Worker(self.module, self.environ, log, "--concurrency", str(concurrency), *options, quiet=quiet)
        self.workers.append(worker)
        worker.wait_ready()
        return worker

    def run_python(self, code: str, *arguments: str, timeout: float = 30) -> str:
        """Run code in another Python process that knows this site from its environment alone."""
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=ROOT,
            env={**os.environ, **self.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def current(self) -> Iterator[Site]:
        """Make this the current app, as it is in a process that imports one app only."""
        before = current_app._get_current_object()
        self.app.set_current()
        try:
            yield self
        finally:
            before.set_current()

    def runs(self, execution_id: str) -> dict[str, int]:
        """How often the user code of each action of an execution was started."""
        return {name: int(count) for name, count in self.redis.hgetall(f"{EFFECTS}:runs:{execution_id}").items()}

    def notes(self, name: str) -> list[str]:
        """What actions and tasks noted under a name, in order."""
        return list(self.redis.lrange(f"{EFFECTS}:{name}", 0, -1))

    def wait_started(self, gate: str, times: int = 1, timeout: float = 20) -> list[int]:
        """Wait until actions stand at a gate ``times`` times; their process ids."""
        wait_until(lambda: len(self.notes(f"started:{gate}")) >= times, timeout, f"{times} actions at gate {gate}")
        return [int(pid) for pid in self.notes(f"started:{gate}")]

    def open_gate(self, gate: str, times: int = 1) -> None:
        """Let ``times`` actions through a gate."""
        self.redis.rpush(f"{EFFECTS}:gate:{gate}", *["open"] * times)
        self.redis.expire(f"{EFFECTS}:gate:{gate}", 900)

    def fields(self, execution_id: str) -> dict[str, str]:
        """The execution's own hash, as it is stored."""
        return dict(self.redis.hgetall(f"{self.prefix}:{{{execution_id}}}:execution"))

    def all_keys(self) -> set[str]:
        """Every key of the database but the side effects."""
        return {key for key in self.redis.scan_iter(count=1000) if not key.startswith(EFFECTS)}

    def lasting_keys(self) -> set[str]:
        """Keys without TTL, without those that outlive executions by design.

        These are: the index of executions, and what the broker knows of its queues (``_kombu.*``). A queue
        with messages, an unacknowledged message or an open deadline is *not* excepted.
        """
        kept = {f"{self.prefix}:executions"}
        if any(worker.killed for worker in self.workers):
            # What a killed worker held comes back with the broker's visibility timeout, and is dropped then.
            kept |= {"unacked", "unacked_index"}
        return {
            key
            for key in self.all_keys()
            if self.redis.ttl(key) == -1 and key not in kept and not key.startswith("_kombu.")
        }

    def close(self, *, warm: bool = True) -> None:
        """End the workers, with or without a warm shutdown, and every connection of this process."""
        for worker in self.workers:
            if warm:
                worker.stop()
            else:
                worker.kill()
        self.app.close()
        self.app.backend.client.close()
        self.redis.close()


def action(action_id: str, definition: str = "test.echo", *after: str, **fields: Any) -> dict[str, Any]:
    """An action of a plan as a dict; ``inputs`` and all other fields by name."""
    return {"id": action_id, "action_definition_id": definition, "dependencies": list(after), **fields}


def plan(*actions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A plan as a dict."""
    schedule = SCHEDULE.get()
    return {"actions": list(actions), **({"schedule": schedule} if schedule else {}), **fields}

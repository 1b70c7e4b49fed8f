"""WorkerProcess: what the demo does not come across. Real processes only."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.processes import ROOT, members
from tests.support import wait_until
from workflow_state.cli.worker import WorkerProcess, WorkerProcessError

pytestmark = pytest.mark.worker


def hanging_worker(folder: Path, code: str) -> WorkerProcess:
    """A worker whose app stops at its import."""
    (folder / "hanging.py").write_text(f"import signal\n{code}\nprint('importing', flush=True)\nsignal.pause()\n")
    environ = {"PYTHONPATH": str(ROOT)}
    return WorkerProcess("hanging", cwd=folder, environ=environ, start_timeout=0.1, stop_timeout=0.2)


def test_a_worker_that_is_not_ready_in_time_is_an_error(tmp_path: Path) -> None:
    """The error says how long it had; entering the context leaves no process."""
    worker = hanging_worker(tmp_path, "")
    with pytest.raises(WorkerProcessError, match=r"not ready within 0\.1 s"), worker:
        pass
    assert not worker.running
    assert worker.pid == 0


def test_a_worker_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """SIGTERM first, and SIGKILL when it does not help; stopping again has no effect."""
    worker = hanging_worker(tmp_path, "signal.signal(signal.SIGTERM, signal.SIG_IGN)").start()
    wait_until(lambda: "importing" in worker.last_words(), 20, "the worker imports its app")
    group = worker.pid
    assert members(group) == [group]
    worker.stop()
    assert members(group) == []
    worker.stop()


def test_a_worker_that_was_not_started_says_so() -> None:
    """Waiting for it is an error, not a wait."""
    with pytest.raises(WorkerProcessError, match="was not started"):
        WorkerProcess("workflow_state.app").wait_ready()

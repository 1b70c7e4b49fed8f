"""The examples run as their documentation says, and what they show is true. Real processes only."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from celery import Celery
from celery.result import AsyncResult

from tests.docs.documents import ROOT
from workflow_state import ExecutionState, StateManager
from workflow_state.cli.worker import WorkerProcess

EXAMPLES = ROOT / "examples"
PLANS = sorted((EXAMPLES / "plans").glob("*.json"))
SIZES = {
    "1000genome-22ch-250k": (902, 3),
    "epigenomics-ilmn-1seq-50k": (241, 9),
    "fetchngs": (43, 3),
    "helloworld-chain-5": (5, 5),
    "helloworld-forkjoin-10": (10, 3),
    "mag": (157, 13),
    "montage-2mass-05d": (1738, 8),
    "rnaseq": (197, 10),
    "seismology-1100p": (1101, 2),
    "viralrecon": (203, 18),
}
"""Actions and levels, as examples/plans/README.md has them."""


def run_example(*command: str, cwd: Path, url: str = "") -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments to its end, in another process."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "REDIS_URL": url}
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.worker
@pytest.mark.parametrize("schedule", ["levels", "dataflow"])
def test_viralrecon_respects_every_dependency(schedule: str, tmp_path: Path, database: Callable[[], str]) -> None:
    """A real pipeline, 203 actions in 18 levels, completes on one worker in both schedules; by the recorded times no
    action started before everything that it depends on had ended; and the state is the same read in either way.
    """
    url = database()
    script = str(EXAMPLES / "real_pipeline.py")
    done = run_example(script, "viralrecon", "--scale", "0.0005", "--schedule", schedule, cwd=tmp_path, url=url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "203 actions in 18 levels" in done.stdout
    assert "level 18 of 18 done" in done.stdout
    (execution_id,) = re.findall(r"^execution: (\S+)$", done.stdout, re.MULTILINE)

    # This process knows of the run what is stored, and nothing else.
    app = Celery("reader", set_as_current=False, broker=url, backend=url)
    app.conf.workflow_state = {"prefix": "real-pipeline"}
    state = StateManager(app).get_full_state(execution_id)
    result = ExecutionState.model_validate(AsyncResult(execution_id, app=app).get(timeout=10))
    assert state.action_states == result.action_states
    assert state.status == result.status == "completed"

    actions = state.action_states
    tasks = json.loads((EXAMPLES / "plans" / "viralrecon.json").read_text())["tasks"]
    assert sorted(actions) == sorted(task["id"] for task in tasks)
    too_early = [
        (task["id"], parent)
        for task in tasks
        for parent in task["parents"]
        if actions[task["id"]].started_at < actions[parent].completed_at
    ]
    assert too_early == []
    assert {action.attempts for action in actions.values()} == {1}


def test_shipped_pipelines_name_their_source_and_licence() -> None:
    """Each plan says where it is from and under which licence, and its size is what its README says."""
    assert [path.stem for path in PLANS] == sorted(SIZES)
    readme = (EXAMPLES / "plans" / "README.md").read_text("utf-8")
    listed = run_example(str(EXAMPLES / "real_pipeline.py"), "--list", cwd=ROOT)
    assert listed.returncode == 0, listed.stderr
    for path in PLANS:
        source = json.loads(path.read_text())["source"]
        assert source.startswith("wfcommons/WfInstances ")
        assert "(LGPL-3.0)" in source
        actions, levels = SIZES[path.stem]
        assert re.search(rf"`{path.name}`.*\| {actions} \| {levels} \|", readme)
        assert f"{path.stem}: {actions} actions in {levels} levels" in listed.stdout


def test_an_unknown_pipeline_is_named() -> None:
    """A name that is not there: exit code 2, and the names that are."""
    done = run_example(str(EXAMPLES / "real_pipeline.py"), "viralrecom", cwd=ROOT)
    assert done.returncode == 2
    assert "'viralrecom'" in done.stderr
    assert "'viralrecon'" in done.stderr


@pytest.mark.redis
@pytest.mark.worker
def test_the_shop_runs_on_its_own_app(database: Callable[[], str]) -> None:
    """Started as its docstring says: the order is paid in the second attempt, and the customer is told."""
    url = database()
    documentation = (EXAMPLES / "shop" / "run.py").read_text("utf-8")
    assert "celery -A shop.app worker" in documentation
    assert "python -m shop.run" in documentation
    environ = {"REDIS_URL": url, "PYTHONPATH": str(ROOT)}
    with WorkerProcess("shop.app", cwd=EXAMPLES, environ=environ, concurrency=2):
        done = run_example("-m", "shop.run", cwd=EXAMPLES, url=url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^charge +completed +attempts: 2 ", done.stdout, re.MULTILINE)
    assert "Paid 765.0 EUR (no discount), reserved: 1 × analytical engine in Hamburg" in done.stdout
    assert re.search(r"^tell-owner +skipped ", done.stdout, re.MULTILINE)
    assert re.search(r"^completed in \d+ ms$", done.stdout, re.MULTILINE)


class Pages(BaseHTTPRequestHandler):
    """Answers words as JSON; ``/busy`` refuses its first request, and ``/gone`` every one."""

    keys: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """As the path says."""
        self.keys.append(self.headers["Idempotency-Key"])
        refused = self.path == "/busy" and self.keys.count(self.headers["Idempotency-Key"]) == 1
        status = 404 if self.path == "/gone" else 429 if refused else 200
        body = json.dumps({"word": self.path.strip("/")}).encode()
        self.send_response(status)
        self.send_header("Retry-After", "0.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not into the output of the tests."""


@pytest.fixture
def pages() -> Iterator[str]:
    """A real HTTP server on this machine, for as long as the test lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.redis
@pytest.mark.worker
def test_the_remote_service_makes_http_calls(database: Callable[[], str], pages: str) -> None:
    """Started as its docstring says: the service calls a real HTTP server, a busy one is asked again under the same
    key, and a page that is gone fails the plan with the service's message.
    """
    url = database()
    environ = {"REDIS_URL": url, "PYTHONPATH": str(ROOT)}
    service = subprocess.Popen(
        [sys.executable, "-m", "remote.service"],
        cwd=EXAMPLES,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert service.stdout is not None
        assert service.stdout.readline() == "ready\n"
        with WorkerProcess("remote.app", cwd=EXAMPLES, environ=environ, concurrency=2):
            done = run_example("-m", "remote.run", f"{pages}/hello", f"{pages}/busy", cwd=EXAMPLES, url=url)
            gone = run_example("-m", "remote.run", f"{pages}/gone", cwd=EXAMPLES, url=url)
    finally:
        service.terminate()
        service.communicate(timeout=20)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "hello busy"
    assert re.search(r"^fetch1 +completed +attempts: 2 ", done.stdout, re.MULTILINE)
    assert gone.returncode == 1
    assert re.search(r"^fetch0 +failed .*/gone answered 404", gone.stdout, re.MULTILINE)
    assert len(Pages.keys) == 4
    assert len(set(Pages.keys)) == 3

"""docs/observability.md is true: its files, commands and settings work, and show what it says that they show."""

from __future__ import annotations

import json
import os
import re
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from tests.docs.documents import ROOT, Block, blocks, promised_output, run_blocks
from tests.integration import test_flower
from tests.support import wait_until
from tests.workers import Worker
from workflow_state import AttemptInfo, ExecutionPlan, compile_plan
from workflow_state.observers.prometheus import PrometheusObserver
from workflow_state.testing import run_plan

DOCUMENT = ROOT / "docs" / "observability.md"
PORT = "9464"


def free_port() -> str:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def split(folder: Path, port: str) -> list[Block]:
    """Save the blocks that name a file; the others, in order."""
    rest = []
    for block in blocks(DOCUMENT, "python"):
        name = re.match(r"# (\w+\.py)\n", block.code)
        if name:
            (folder / name[1]).write_text(block.code.replace(PORT, port))
        else:
            rest.append(block)
    return rest


def lines_of(path: Path) -> list[dict[str, Any]]:
    """A file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.redis
@pytest.mark.worker
def test_the_document_runs(tmp_path: Path, database: Callable[[], str]) -> None:
    """Its files saved, its worker started as written, its other blocks run: log, metrics and trace are as shown."""
    port = free_port()
    rest = split(tmp_path, port)
    (command,) = [
        line
        for block in blocks(DOCUMENT, "console")
        for line in block.code.splitlines()
        if line.endswith("celery -A workflow_state.app worker")
    ]
    name, _, value = command.removeprefix("$ ").split()[0].partition("=")
    environ = {"REDIS_URL": database(), name: value, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    log = tmp_path / "worker.log"
    worker = Worker("workflow_state.app", environ, log, "--concurrency", "2", cwd=tmp_path, quiet=True)
    try:
        worker.wait_ready()
        done = run_blocks(rest, DOCUMENT, cwd=tmp_path, env={**os.environ, **environ})
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == promised_output(rest)
        check_metrics(f"http://127.0.0.1:{port}/metrics")
        check_trace(tmp_path / "spans.jsonl")
        check_log(lines_of(log))
    finally:
        worker.stop()
    (accepted,) = lines_of(tmp_path / "caller.log")
    assert (accepted["event"], accepted["order"], accepted["card_token"]) == ("order accepted", 17, "[redacted]")


def check_metrics(url: str) -> None:
    """Each line that the document shows is served, once the run has been counted."""
    (shown,) = [block.code.splitlines() for block in blocks(DOCUMENT, "text") if "_total{" in block.code]

    def served() -> bool:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return set(shown) <= set(answer.read().decode().splitlines())

    wait_until(served, 10, f"{shown} are served")


def check_trace(path: Path) -> None:
    """The tree of spans is the one that is drawn."""
    (drawn,) = [block.code for block in blocks(DOCUMENT, "text") if block.code.startswith("checkout")]
    wait_until(lambda: len(path.read_text().splitlines()) == 4, 10, "four spans")
    spans = lines_of(path)
    names = {span["context"]["span_id"]: span["name"] for span in spans}
    tree = {(span["name"], names.get(span["parent_id"])) for span in spans}
    assert tree == {("checkout", None), ("Order", "checkout"), ("Order/charge", "Order"), ("Order/thank", "Order")}
    assert [line.lstrip(" ├└─") for line in drawn.splitlines()] == ["checkout", "Order", "Order/charge", "Order/thank"]
    assert len({span["context"]["trace_id"] for span in spans}) == 1


def check_log(lines: list[dict[str, Any]]) -> None:
    """The line that is shown is there, but for its time and ids; and so is what was printed."""
    (block,) = blocks(DOCUMENT, "json")
    shown = json.loads(block.code)
    (line,) = [line for line in lines if line["event"] == shown["event"]]
    assert list(line) == list(shown)
    vary = ("timestamp", "task_id", "execution_id")
    assert {name: line[name] for name in shown if name not in vary} == {n: shown[n] for n in shown if n not in vary}
    (printed,) = [line for line in lines if line["event"] == "thanks for 7"]
    assert printed["action_id"] == "thank"


def test_the_table_of_metrics_is_whole() -> None:
    """Every metric there is, with its type and labels, and no other, is in the table."""
    app = Celery("shop", set_as_current=False)
    app.conf.workflow_state = {"metrics_address": "127.0.0.1:0"}
    observer = PrometheusObserver(app)
    plan = {"actions": [{"id": "a", "action_definition_id": "x"}]}
    attempt = AttemptInfo("e", "p", "Plan", "a", "x", 1)
    observer.attempt_started(attempt, "celery", 0.1)
    observer.attempt_ended(attempt, "completed", 0.1, None)
    observer.execution_ended(compile_plan(ExecutionPlan.model_validate(plan)), run_plan(plan, {"x": lambda: None}))
    observer.swept("part_published", 1)
    there = {}
    for metric in observer.registry.collect():
        labels = {label for sample in metric.samples for label in sample.labels} - {"le"}
        there[metric.name + ("_total" if metric.type == "counter" else "")] = (metric.type, labels)
    rows = re.findall(r"^\| `(workflow_state_\w+)` \| (\w+) \| (.*?) \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows} == there


def test_all_that_a_sweeper_does_is_named() -> None:
    """The kinds in the document are those in the code."""
    code = "".join(path.read_text("utf-8") for path in (ROOT / "workflow_state" / "runtime").glob("*.py"))
    kinds = set(re.findall(r'"swept", f?"(\w+)', code))
    assert "action_resent_" in kinds
    kinds = {kind for kind in kinds if kind != "action_resent_"}
    kinds |= {f"action_resent_{phase}" for phase in ("lease", "retry", "confirmed")}
    (paragraph,) = re.findall(
        r"^The kinds of what a sweeper does: (.*?)\n\n", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE
    )
    assert set(re.findall(r"`(\w+)`", paragraph)) == kinds


def test_flower_is_started_as_documented() -> None:
    """The columns that the document asks for are those that the test of Flower looks at."""
    assert f"--tasks-columns={test_flower.COLUMNS}\n" in DOCUMENT.read_text("utf-8")

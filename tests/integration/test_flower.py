"""Flower, the process, beside a real worker: people see plans and actions by name, and never an input."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.outcomes import ONCE, TIMEOUT
from tests.support import wait_until
from tests.workers import ROOT, Site, action, plan
from workflow_state import PlanExecutionError, action_task_id, execute_plan

SECRET = "hunter2-0c9a7f"


def get(url: str) -> Any:
    """The JSON of an answer; None while there is none."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


@pytest.fixture
def flower(own: Site, tmp_path: Path) -> Iterator[str]:
    """The address of a Flower that sees the worker of ``own``, whose events are on (``-E``)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "flower.log"
    command = [sys.executable, "-m", "celery", "-A", own.module, "flower", f"--port={port}", "--address=127.0.0.1"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **own.environ, "PYTHONPATH": str(ROOT), "FLOWER_UNAUTHENTICATED_API": "true"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: own.workers[0].address in (get(f"{address}/api/workers?refresh=1") or {}), TIMEOUT)
        yield address
    except AssertionError as error:
        raise AssertionError(f"{error}\n{log.read_text()[-3000:]}") from error
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def headers_of(site: Site, queue: str) -> tuple[dict[str, Any], str]:
    """The headers of the one message in a queue, and its body as text."""
    (text,) = site.redis.lrange(queue, 0, -1)
    message = json.loads(text)
    return message["headers"], base64.b64decode(message["body"]).decode()


def test_no_secret_in_what_tools_show_of_a_message(fresh: Site) -> None:
    """Names and representations of a message, which Flower, events and logs show, hold no input of the plan;
    the message of an action holds none at all, not even in its body.
    """
    wanted = plan(action("a", "test.echo", inputs={"password": SECRET}, queue="parked"), name="Order 7")
    for sent in (wanted, json.dumps(wanted)):
        execute_plan.delay(sent)
        headers, _ = headers_of(fresh, fresh.queue)
        assert (headers["shadow"], headers["argsrepr"], headers["kwargsrepr"]) == (
            "Order 7",
            "(<plan 'Order 7'>,)",
            "{}",
        )
        assert SECRET not in json.dumps(headers)
        fresh.redis.delete(fresh.queue)
    execute_plan.apply_async(kwargs={"plan": wanted})
    assert SECRET not in json.dumps(headers_of(fresh, fresh.queue)[0])
    fresh.start_worker()
    wait_until(lambda: fresh.redis.llen("parked") == 1, TIMEOUT, "the action's message is sent")
    headers, body = headers_of(fresh, "parked")
    assert headers["shadow"] == "Order 7/a"
    assert SECRET not in json.dumps(headers) + body
    fresh.start_worker("--queues", "parked")
    wait_until(lambda: not fresh.lasting_keys(), TIMEOUT, "the plan has ended")
    assert SECRET not in fresh.workers[0].output + fresh.workers[1].output


@pytest.mark.slow
def test_flower_shows_plans_and_actions_by_name(own: Site, flower: str) -> None:
    """``/api/tasks`` lists every action as ``plan/action`` under its task id with its state, and the plan
    under its own name; no input, output or secret is in any of it.
    """
    wanted = plan(
        action("login", "test.echo", inputs={"password": SECRET}),
        action("flaky", "test.flaky", "login", inputs={"times": 1, "value": SECRET}, retry={"min_timeout_in_ms": 10}),
        action("charge", "test.fail", "flaky", inputs={"message": "declined"}, retry=ONCE),
        action("mail", "test.echo", "charge", inputs={"text": "${login.output.password}"}),
        name="Order 7",
    )
    result = execute_plan.delay(wanted)
    with pytest.raises(PlanExecutionError):
        result.get(timeout=TIMEOUT)
    ids = {name: action_task_id(result.id, name) for name in ("login", "flaky", "charge")}

    def all_ended() -> dict[str, dict[str, Any]] | None:
        tasks = get(f"{flower}/api/tasks?limit=1000") or {}
        known = [tasks.get(task_id, {}) for task_id in (result.id, *ids.values())]
        return tasks if all(task.get("state") in ("SUCCESS", "FAILURE") for task in known) else None

    tasks = wait_until(all_ended, TIMEOUT, "Flower has seen the end of every task")
    seen = {name: (tasks[task_id]["name"], tasks[task_id]["state"]) for name, task_id in ids.items()}
    assert seen == {
        "login": ("Order 7/login", "SUCCESS"),
        "flaky": ("Order 7/flaky", "SUCCESS"),
        "charge": ("Order 7/charge", "FAILURE"),
    }
    assert (tasks[result.id]["name"], tasks[result.id]["state"]) == ("Order 7", "FAILURE")
    assert "declined" in tasks[ids["charge"]]["exception"]
    assert tasks[ids["charge"]]["root_id"] == result.id
    assert SECRET not in json.dumps(tasks)
    assert SECRET not in own.workers[0].output
    shown = get(f"{flower}/api/task/info/{ids['login']}")
    assert result.id in shown["args"]
    assert SECRET not in json.dumps(shown)
    assert get(f"{flower}/api/task/result/{ids['login']}")["state"] == "SUCCESS"

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
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser import console, requests
from tests.integration.outcomes import ONCE, TIMEOUT
from tests.support import wait_until
from tests.workers import ROOT, Site, action, plan
from workflow_state import ExecutionState, PlanExecutionError, StateManager, action_task_id, execute_plan

SECRET = "hunter2-0c9a7f"
QUICK = {"min_timeout_in_ms": 500, "max_timeout_in_ms": 600}
"""So late that Celery has told of an attempt before the next one ends: what comes after its end, Flower shows."""
COLUMNS = "name,state,retries,result,received,runtime"
READ_TABLE = """
return [...document.querySelectorAll("#tasks-table tbody tr")].map(row => [...row.cells].map(cell => cell.innerText))
"""
SHOWN_AS = {"completed": "SUCCESS", "failed": "FAILURE"}


def get(url: str) -> Any:
    """The JSON of an answer; None while there is none."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


@pytest.fixture(scope="module")
def flower(own_site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Flower that sees the worker of ``own``, whose events are on (``-E``)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("flower") / "log"
    options = [f"--port={port}", "--address=127.0.0.1", f"--tasks-columns={COLUMNS}"]
    command = [sys.executable, "-m", "celery", "-A", own_site.module, "flower", *options]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **own_site.environ, "PYTHONPATH": str(ROOT), "FLOWER_UNAUTHENTICATED_API": "true"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: own_site.workers[0].address in (get(f"{address}/api/workers?refresh=1") or {}), TIMEOUT)
        yield address
    except AssertionError as error:
        raise AssertionError(f"{error}\n{log.read_text()[-3000:]}") from error
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def headers_of(site: Site, queue: str, place: int = 0) -> tuple[dict[str, Any], str]:
    """The headers of a message in a queue, and its body as text; ``place``: 0 is the last one sent, -1 the first."""
    message = json.loads(site.redis.lindex(queue, place))
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
    execute_plan.apply_async(kwargs={"plan": wanted})
    assert SECRET not in json.dumps(headers_of(fresh, fresh.queue)[0])
    fresh.start_worker()
    wait_until(lambda: fresh.redis.llen("parked"), TIMEOUT, "an action's message is sent")
    headers, body = headers_of(fresh, "parked", -1)
    assert headers["shadow"] == "Order 7/a"
    assert SECRET not in json.dumps(headers) + body
    fresh.start_worker("--queues", "parked")
    wait_until(lambda: not fresh.lasting_keys(), TIMEOUT, "the plans have ended")
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


def two_runs() -> list[ExecutionState]:
    """One plan that completes, with a retry and a skipped action, and one that fails after three attempts."""
    report = plan(
        action("fetch-orders", "test.echo", inputs={"api_key": SECRET}),
        action("fetch-rates", "test.flaky", inputs={"times": 1, "value": SECRET}, retry=QUICK),
        action("convert", "test.fail", "fetch-rates", retry=ONCE, error_handling={"fallback_value": 1}),
        action("alert", "test.echo", "fetch-orders", condition={"if": "${fetch-orders.status} == 'failed'"}),
        action("render", "test.echo", "fetch-orders", "convert"),
        name="Nightly report",
    )
    order = plan(
        action("check", "test.echo", inputs={"password": SECRET}),
        action("charge", "test.fail", "check", inputs={"message": "card declined"}, retry={**QUICK, "max_attempts": 3}),
        action("mail", "test.echo", "charge"),
        name="Order 17",
    )
    states = []
    for wanted in (report, order):
        result = execute_plan.delay(wanted)
        result.get(timeout=TIMEOUT, propagate=False)
        states.append(StateManager().get_full_state(result.id))
    return states


def expected_tasks(states: list[ExecutionState]) -> dict[str, dict[str, Any]]:
    """What Flower has to show, by task id: the executions, and the actions that were attempted."""
    expected: dict[str, dict[str, Any]] = {}
    for name, state in zip(("Nightly report", "Order 17"), states, strict=True):
        expected[state.id] = {"name": name, "state": SHOWN_AS[state.status], "retries": 0}
        for action_id, done in state.action_states.items():
            if done.attempts:
                expected[action_task_id(state.id, action_id)] = {
                    "name": f"{name}/{action_id}",
                    "state": SHOWN_AS[done.status],
                    "retries": done.attempts - 1,
                    "root_id": state.id,
                    "parent_id": state.id,
                }
    return expected


def rows_of(browser: Chrome, names: set[str]) -> dict[str, dict[str, str]]:
    """The rows of Flower's table of tasks that bear these names: column → what it shows, once all are there."""

    def found() -> dict[str, dict[str, str]]:
        rows = [dict(zip(COLUMNS.split(","), row, strict=False)) for row in browser.execute_script(READ_TABLE)]
        return {row["name"]: row for row in rows if row.get("name") in names}

    wait_until(lambda: found().keys() == names, TIMEOUT, f"rows of {names}")
    return found()


@pytest.mark.slow
def test_people_see_their_plans_in_flower(own: Site, flower: str, browser: Chrome, pictures: Path) -> None:
    """In a browser: plans and actions by name with state, result and retries, links from an action to its plan, and
    not one secret; and ``/api/tasks`` says the same as ``get_full_state``, action by action.
    """
    states = two_runs()
    assert [state.status for state in states] == ["completed", "failed"]
    expected = expected_tasks(states)

    def tasks() -> dict[str, dict[str, Any]]:
        return get(f"{flower}/api/tasks?limit=1000") or {}

    def agree() -> bool:
        shown = tasks()
        return all(
            {field: shown.get(task_id, {}).get(field) for field in wanted} == wanted
            for task_id, wanted in expected.items()
        )

    wait_until(agree, TIMEOUT, f"Flower shows {expected}")
    shown = tasks()
    for state in states:
        for action_id, done in state.action_states.items():
            task = shown.get(action_task_id(state.id, action_id))
            assert (task is None) == (done.status == "skipped")
            if task is not None and done.status == "failed":
                assert done.error is not None
                assert done.error.message in task["exception"]
    requests(browser), console(browser)
    browser.get(f"{flower}/tasks")
    rows = rows_of(browser, {wanted["name"] for wanted in expected.values()})
    for wanted in expected.values():
        row = rows[wanted["name"]]
        assert (row["state"], row["retries"]) == (wanted["state"], str(wanted["retries"]))
    assert rows["Nightly report/fetch-rates"]["result"] == "'completed'"
    assert rows["Nightly report/convert"]["result"] == "'completed with its fallback value'"
    assert rows["Nightly report"]["result"].startswith("{'status': 'completed', 'metrics': {'total_actions': 5, ")
    assert browser.save_screenshot(str(pictures / "flower.png"))

    browser.get(f"{flower}/task/{action_task_id(states[1].id, 'charge')}")
    page = browser.find_element(By.ID, "task-page").text
    for shown in ("Order 17/charge", "FAILURE", "card declined", f"('{states[1].id}', 'charge', 3)"):
        assert shown in page
    browser.find_element(By.LINK_TEXT, states[1].id).send_keys(Keys.ENTER)
    wait_until(lambda: browser.current_url.endswith(f"/task/{states[1].id}"), TIMEOUT)
    page = browser.find_element(By.ID, "task-page").text
    assert "<plan 'Order 17'>" in page
    assert "Action 'charge' failed: card declined" in page
    for child in ("check", "charge"):
        assert browser.find_elements(By.LINK_TEXT, action_task_id(states[1].id, child))
    assert SECRET not in browser.page_source
    assert all(url.startswith((flower, "data:")) for url in requests(browser))
    assert [line for line in console(browser) if line.startswith("SEVERE")] == []

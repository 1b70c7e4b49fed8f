"""What a worker logs with ``log_format``: every line through one pipeline, bound to its attempt, without secrets."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.apps import watched_app
from tests.integration.outcomes import ONCE, TIMEOUT
from tests.support import wait_until
from tests.workers import Site, Worker, action, plan
from workflow_state import PlanExecutionError, execute_plan

SECRET = f"{uuid.uuid4().hex}/\"' {uuid.uuid4().hex}"
HOOK = f"{watched_app.__name__}.track"


@pytest.fixture(scope="module")
def json_site(database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A watched app whose worker logs JSON at level DEBUG; it prints no banner, which is no log."""
    found = Site(watched_app.make_app(), watched_app.__name__, database(), tmp_path_factory.mktemp("logs"))
    found.settings(workflow_state={"log_format": "json", "on_error": HOOK})
    try:
        found.start_worker("--loglevel", "DEBUG", quiet=True)
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def run(json_site: Site) -> tuple[str, list[dict[str, Any]]]:
    """One run of a plan that fails, and every line of the worker's log after it."""
    wanted = plan(
        action("talk", "watched.talk", inputs={"password": SECRET, "times": 1}, retry={"min_timeout_in_ms": 10}),
        action("later", "watched.later", inputs={"name": "x"}),
        action(
            "breaks-the-hook",
            "watched.talk",
            inputs={"password": SECRET, "times": 9},
            retry=ONCE,
            error_handling={"continue_on_failure": True},
        ),
        action("end", "test.fail", "talk", "later", "breaks-the-hook", inputs={"message": "no more"}, retry=ONCE),
        id="careless",
        name="Careless",
    )
    with json_site.current():
        watched_app.other.delay().get(timeout=TIMEOUT)
        result = execute_plan.delay(wanted)
        with pytest.raises(PlanExecutionError):
            result.get(timeout=TIMEOUT)
    worker = json_site.workers[0]
    wait_until(lambda: f"Task Careless[{result.id}] raised" in worker.output, TIMEOUT, "the last line")
    return result.id, [parsed(line) for line in worker.output.splitlines()]


def parsed(line: str) -> dict[str, Any]:
    """A line of the log as what it says; one that is no JSON is shown."""
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError:
        raise AssertionError(f"no JSON: {line!r}") from None
    return found


def said(lines: list[dict[str, Any]], event: str, **bound: Any) -> dict[str, Any]:
    """The one line whose event starts so and which has these values."""
    (found,) = [
        line
        for line in lines
        if line["event"].startswith(event) and all(line.get(name) == value for name, value in bound.items())
    ]
    return found


def test_every_line_is_one_json_object(run: tuple[str, list[dict[str, Any]]]) -> None:
    """From the first line on, Celery's own and printed ones included, each says when, how bad, what and who."""
    _, lines = run
    assert all(list(line)[:4] == ["timestamp", "level", "event", "logger"] for line in lines)
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert {"celery.worker.strategy", "celery.app.trace", "workflow_state", "celery.redirected"} <= {
        line["logger"] for line in lines
    }


@pytest.mark.parametrize(
    ("event", "logger", "level"),
    [
        ("plain: signing in with [redacted]", "shop.plain", "info"),
        ("extra", "shop.plain", "warning"),
        ("by Celery's logger", "shop.tasks", "info"),
        ("structured", "shop.structured", "info"),
        ("of the context", "workflow_state", "info"),
        ("printed [redacted]", "celery.redirected", "warning"),
        ("caught", "shop.plain", "error"),
        ("tracked", "shop.plain", "error"),
    ],
)
def test_lines_of_an_action_are_bound(
    run: tuple[str, list[dict[str, Any]]], event: str, logger: str, level: str
) -> None:
    """Whatever logger a line of an action comes from, it names execution, plan, action, attempt and task."""
    execution_id, lines = run
    line = said(lines, event, action_id="talk", attempt=1)
    assert (line["logger"], line["level"]) == (logger, level)
    assert (line["execution_id"], line["plan_id"]) == (execution_id, "careless")
    assert line["task_name"] == "Careless/talk"


def test_lines_of_coroutines_and_threads_are_bound(run: tuple[str, list[dict[str, Any]]]) -> None:
    """An async action's tasks, and threads that it waits for, log as the action does."""
    execution_id, lines = run
    for event in ("in a task", "in a thread: x"):
        line = said(lines, event)
        assert (line["execution_id"], line["action_id"], line["attempt"]) == (execution_id, "later", 1)


def test_celery_says_what_its_lines_are_about(run: tuple[str, list[dict[str, Any]]]) -> None:
    """Celery's own lines of a task carry its id and name; those of an action also execution and action."""
    execution_id, lines = run
    mine = [line for line in lines if line["event"].startswith("Task Careless/talk")]
    retried, succeeded = [line for line in mine if line["logger"] == "celery.app.trace"]
    assert "retry: Retry" in retried["event"]
    assert {line["execution_id"] for line in (retried, succeeded)} == {execution_id}
    assert succeeded["runtime"] > 0
    received = [line for line in mine if line["logger"] == "celery.worker.strategy"]
    assert [(line["task_id"], line["task_name"]) for line in received] == [(retried["task_id"], "Careless/talk")] * 2
    other = said(lines, "in another task")
    assert other["task_name"] == "watched.other"
    assert "execution_id" not in other
    whole = [line for line in lines if line["event"].startswith("Task Careless[") and "runtime" not in line]
    received, accepted, again, ended = whole
    assert (received["task_id"], accepted["execution_id"], again["task_id"], ended["execution_id"]) == (
        execution_id,
    ) * 4
    assert "raised expected" in ended["event"]


def test_no_secret_is_in_any_line(run: tuple[str, list[dict[str, Any]]], json_site: Site) -> None:
    """What bears a secret name is hidden by it; what an action was given under one also in texts and tracebacks."""
    _, lines = run
    output = json_site.workers[0].output
    assert not any(part in output for part in (SECRET[:16], SECRET[-16:]))
    assert said(lines, "extra", action_id="talk", attempt=1)["cart"] == {"items": 2, "session_id": "[redacted]"}
    assert "ValueError: bad password [redacted]" in said(lines, "caught", action_id="talk")["exception"]
    structured = said(lines, "structured", action_id="talk", attempt=1)
    assert (structured["account"], structured["odd"]) == ({"user": "ada", "password": "[redacted]"}, "{(1, 2): nan}")


def test_errors_are_tracked(run: tuple[str, list[dict[str, Any]]], json_site: Site) -> None:
    """The hook gets the exception and the attempt that raised it; one that breaks is logged, and breaks nothing."""
    execution_id, lines = run
    noted = json_site.notes("tracked-errors")
    assert noted == [
        f"ActionError {execution_id} Careless talk 1",
        f"ActionError {execution_id} Careless end 1",
    ]
    broken = said(lines, "error hook failed")
    assert broken["action_id"] == "breaks-the-hook"
    assert "RuntimeError: the tracker is down" in broken["exception"]


def test_a_log_file_gets_lines_for_people(fresh: Site, tmp_path: Path) -> None:
    """``--logfile`` is heeded, with the node's name in it, and may be rotated; no colour gets into it."""
    fresh.settings(workflow_state={"log_format": "console"})
    worker = Worker(fresh.module, fresh.environ, tmp_path / "out", "--logfile", str(tmp_path / "%n.log"), quiet=True)
    fresh.workers.append(worker)
    log = tmp_path / f"{worker.name}.log"
    wait_until(lambda: log.exists() and f"{worker.address} ready." in log.read_text(), TIMEOUT, "it is ready")
    log.rename(tmp_path / "old.log")
    result = execute_plan.delay(plan(action("a", "test.echo"), name="Filed"))
    result.get(timeout=TIMEOUT)
    wait_until(lambda: log.exists() and f"Filed[{result.id}] succeeded" in log.read_text(), TIMEOUT, "the last line")
    (line,) = [line for line in log.read_text().splitlines() if "Filed/a" in line and "succeeded" in line]
    assert "[info     ] Task Filed/a[" in line
    assert f"execution_id={result.id}" in line
    assert "\x1b" not in log.read_text()
    assert "ready" not in worker.output


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"on_error": "tests.integration.apps.watched_app.nobody"},
            "on_error is 'tests.integration.apps.watched_app.nobody'",
        ),
        ({"log_format": "xml"}, "Input should be 'json' or 'console'"),
    ],
)
def test_a_wrong_setting_stops_the_worker(fresh: Site, settings: dict[str, str], said: str) -> None:
    """A worker that could not do what its settings ask for says so, and does not start."""
    fresh.settings(workflow_state=settings)
    with pytest.raises(AssertionError, match="the worker ended with"):
        fresh.start_worker()
    assert said in fresh.workers[0].output

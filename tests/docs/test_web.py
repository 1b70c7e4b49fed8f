"""The pages for Django and FastAPI: their files make a project that runs, with requests over HTTP to a real server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.docs.documents import ROOT
from tests.docs.pages import worker_of, write_files
from tests.support import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.redis, pytest.mark.worker]


def request(url: str, body: object = None) -> tuple[int, Any]:
    """Status and JSON of an answer; with a body it is a POST."""
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def answers(port: int) -> bool:
    """Whether something listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def serving(*command: str, cwd: Path, environ: dict[str, str]) -> Iterator[str]:
    """The address of a web server, which ends with the block; `PORT` in its command is a free one."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    words = [word.replace("PORT", str(port)) for word in command]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
    log = cwd / "web.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=cwd, env=env, stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_until(lambda: process.poll() is not None or answers(port), 30, "the web server answers")
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def test_a_django_project(tmp_path: Path, database: Callable[[], str]) -> None:
    """An order that is posted is saved, priced by the worker through the ORM, and shown as completed."""
    page = "howto/django.md"
    write_files(page, tmp_path)
    environ = {"REDIS_URL": database(), "DJANGO_SETTINGS_MODULE": "mysite.settings"}
    migrate = [sys.executable, "-m", "django", "migrate", "--run-syncdb"]
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", **environ}
    subprocess.run(migrate, cwd=tmp_path, env=env, check=True, capture_output=True, timeout=60)
    ask = [sys.executable, "-c", "from mysite import celery_app; print(celery_app.conf.task_default_queue)"]
    # What the page says of CELERY_ settings.
    assert subprocess.check_output(ask, cwd=tmp_path, env=env, text=True, timeout=60).strip() == "mysite"
    server = ("django", "runserver", "--noreload", "127.0.0.1:PORT")
    with worker_of(page, tmp_path, environ), serving(*server, cwd=tmp_path, environ=environ) as url:
        assert request(f"{url}/orders", {"article": "card"}) == (202, {"order": 1})
        wait_until(lambda: request(f"{url}/orders/1")[1]["status"] == "completed", 30, "the order is priced")
        assert request(f"{url}/orders/1") == (200, {"article": "card", "price": 1.25, "status": "completed"})
        # An order that is not valid is not saved either: the next one has the next number.
        status, said = request(f"{url}/orders", {"article": "${nobody.output}"})
        assert (status, said["problems"][0]["code"]) == (400, "reference_unknown_action")
        assert request(f"{url}/orders", {"article": "card"}) == (202, {"order": 2})


def test_a_fastapi_service(tmp_path: Path, database: Callable[[], str]) -> None:
    """A posted plan runs; its events are streamed; wrong plans and unknown ids are answered with what is wrong."""
    page = "howto/fastapi.md"
    write_files(page, tmp_path)
    environ = {"REDIS_URL": database()}
    plan = {
        "actions": [
            {"id": "price", "actionDefinitionId": "orders.price", "inputs": {"article": "card"}},
            {
                "id": "tell",
                "actionDefinitionId": "mail.send",
                "dependencies": ["price"],
                "inputs": {"text": "for ${price.output}"},
            },
        ]
    }
    server = ("uvicorn", "shop.api:api", "--port", "PORT")
    with worker_of(page, tmp_path, environ), serving(*server, cwd=tmp_path, environ=environ) as url:
        status, started = request(f"{url}/executions", plan)
        assert status == 202
        with urllib.request.urlopen(f"{url}/executions/{started['id']}/events", timeout=30) as stream:
            events = [json.loads(line[6:]) for line in stream.read().decode().splitlines() if line.startswith("data: ")]
        assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
        assert events[-1]["type"] == "plan.execution.completed"
        status, state = request(f"{url}/executions/{started['id']}")
        assert (status, state["status"]) == (200, "completed")
        assert state["actionStates"]["tell"]["result"]["output"] == "sent: for 1.25"
        assert request(f"{url}/executions/{started['id']}/cancel", {})[0] == 409
        plan["actions"][1]["dependencies"] = ["prise"]
        status, said = request(f"{url}/executions", plan)
        assert (status, said["problems"][0]["code"]) == (422, "unknown_dependency")
        assert request(f"{url}/executions/nobody")[0] == 404
        assert request(f"{url}/executions/nobody/events")[0] == 404

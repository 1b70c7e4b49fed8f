"""The doctor on live set-ups."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from celery import Celery

from tests.integration.outcomes import TIMEOUT
from tests.support import wait_until
from tests.workers import ROOT, Site
from workflow_state.doctor import check_setup
from workflow_state.embedded import EmbeddedServer


def test_what_it_finds_on_a_live_set_up(library: Site) -> None:
    """With a worker nothing of worker and sweeper is wrong; what is, is the test server without a file."""
    wait_until(lambda: library.redis.exists("workflow-state:sweeper"), TIMEOUT, "the sweeper has looked")
    wrong = {finding.check: finding.level for finding in check_setup(library.app) if finding.level != "ok"}
    assert wrong == {"append-only file": "warn"}


def test_workers_of_other_queues_alone_are_not_enough(fresh: Site) -> None:
    """Where no worker listens to the queue of the engine's own steps, no plan begins: the doctor found all well."""
    fresh.start_worker("--queues", f"slow-{fresh.queue}", concurrency=1)
    findings = {finding.check: finding for finding in check_setup(fresh.app, "celery -A shop worker")}
    assert findings["workers"].level == "ok"
    assert (findings["queue"].level, findings["queue"].found) == ("fail", f"no worker listens to {fresh.queue}")
    assert findings["pool"].level == "ok"
    fresh.start_worker("--pool", "threads", concurrency=1)
    levels = {finding.check: finding.level for finding in check_setup(fresh.app)}
    assert (levels["queue"], levels["pool"]) == ("ok", "warn")


def test_the_command_says_what_to_change() -> None:
    """Without a worker, and on a server that may drop records, ``doctor`` exits with 1 and names both."""
    with EmbeddedServer(settings={"maxmemory-policy": "allkeys-lru"}) as server:
        done = subprocess.run(
            [sys.executable, "-m", "workflow_state", "doctor", "--json"],
            cwd=ROOT,
            env={**os.environ, "REDIS_URL": server.url},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1, done.stderr
    hints = {finding["check"]: finding["hint"] for finding in json.loads(done.stdout)}
    assert hints["workers"] == "start one: celery -A workflow_state.app worker"
    wrong = {finding["check"] for finding in json.loads(done.stdout) if finding["level"] == "fail"}
    assert wrong == {"memory policy", "workers", "sweeper"}


def test_a_server_that_is_away_is_said_plainly() -> None:
    """No server: one finding, no traceback, exit code 1."""
    done = subprocess.run(
        [sys.executable, "-m", "workflow_state", "doctor"],
        cwd=ROOT,
        env={**os.environ, "REDIS_URL": "redis://127.0.0.1:1/0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("FAIL  backend: ")


def test_a_server_that_lets_nobody_ask(library: Site, tmp_path: Path) -> None:
    """A server on which INFO and CONFIG are forbidden, as on hosted ones, and a broker that is away: no error of
    the doctor's own, each is said in its place.
    """
    with EmbeddedServer(data_dir=tmp_path) as server, redis.Redis.from_url(server.url) as admin:
        admin.acl_setuser(
            "limited",
            enabled=True,
            passwords=["+pw"],
            keys=["*"],
            channels=["*"],
            commands=["+@all", "-info", "-config"],
        )
        app = Celery("limited", set_as_current=False)
        app.config_from_object("workflow_state.durable")
        app.conf.update(result_backend=server.url.replace("//", "//limited:pw@"), broker_url="redis://127.0.0.1:1/0")
        wrong = {finding.check: finding.level for finding in check_setup(app) if finding.level != "ok"}
        app.backend.client.close()
    unknown = dict.fromkeys(("server version", "append-only file", "memory policy"), "warn")
    assert wrong == {**unknown, "broker": "fail"}


def test_a_server_that_refuses_what_is_written() -> None:
    """Full, or a replica: the other findings are there all the same, and one says what the server does not do."""
    app = Celery("full", set_as_current=False)
    app.config_from_object("workflow_state.durable")
    with EmbeddedServer() as server, redis.Redis.from_url(server.url) as client:
        app.conf.update(broker_url=server.url, result_backend=server.url)
        for settings, found in (({"maxmemory": "1"}, "maxmemory"), ({"maxmemory": "0"}, "")):
            for name, value in settings.items():
                client.config_set(name, value)
            findings = {finding.check: finding for finding in check_setup(app)}
            assert findings["memory policy"].level == "ok"
            broker = findings.get("broker")
            assert (broker is None) == (not found)
            assert broker is None or (broker.level == "fail" and found in broker.found)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"replicaof": "127.0.0.1 1"}, "read only replica"),
        ({"min-replicas-to-write": "1"}, "Not enough good replicas"),
        ({"maxmemory": "1"}, "maxmemory"),
        ({"cluster-enabled": "yes"}, "slot"),
    ],
)
def test_results_on_a_server_that_takes_no_results(settings: dict[str, str], found: str) -> None:
    """Where the broker is another, nothing but the doctor's own write shows it: workers answer, and nothing is done."""
    app = Celery("elsewhere", set_as_current=False)
    app.config_from_object("workflow_state.durable")
    with EmbeddedServer(appendonly=False) as broker, EmbeddedServer(appendonly=False, settings=settings) as server:
        app.conf.update(broker_url=broker.url, result_backend=server.url)
        if "cluster-enabled" in settings:
            app.backend.client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16_383)
            wait_until(lambda: app.backend.client.execute_command("CLUSTER INFO")["cluster_state"] == "ok", TIMEOUT)
        findings = {finding.check: finding for finding in check_setup(app)}
        app.backend.client.close()
    assert findings["backend"].level == "fail"
    assert found in findings["backend"].found
    assert findings["memory policy"].level == "ok"

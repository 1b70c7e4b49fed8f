"""The doctor's rules, over facts as they would be gathered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from kombu import Queue

from workflow_state.doctor import Facts, Finding, judge

GOOD = Facts(
    conf={
        "accept_content": ["json"],
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": False,
        "task_queues": None,
        "worker_deduplicate_successful_tasks": False,
        "result_expires": 604_800,
        "broker_transport_options": {},
    },
    server={"redis_version": "7.2.4", "aof_enabled": 1},
    server_config={"maxmemory-policy": "noeviction"},
    workers={"celery@a": ["workflow_state.execute_plan", "workflow_state.finish"]},
    sweeper_age=1.0,
)


def what_is_wrong(facts: Facts) -> dict[str, str]:
    """Check → level of what is not ok."""
    return {finding.check: finding.level for finding in judge(facts) if finding.level != "ok"}


def test_a_durable_set_up_has_nothing_to_change() -> None:
    """With the durable settings, a server with AOF and a live worker, every finding is ok and has no hint."""
    findings = judge(GOOD)
    assert len(findings) >= 10
    assert all(isinstance(finding, Finding) and not finding.hint for finding in findings)
    assert what_is_wrong(GOOD) == {}


@pytest.mark.parametrize(
    ("server", "wrong"),
    [
        ({"redis_version": "6.0.16"}, {"server version": "fail"}),
        ({"redis_version": "6.2.0"}, {}),
        ({"redis_version": "7.2.4", "valkey_version": "8.0.1"}, {}),
        ({"aof_enabled": 0}, {"append-only file": "warn"}),
    ],
)
def test_what_it_says_of_the_server(server: dict[str, Any], wrong: dict[str, str]) -> None:
    """Too old a server fails, one that loses data at a restart is a warning, Valkey is fine."""
    assert what_is_wrong(replace(GOOD, server={**GOOD.server, **server})) == wrong


def test_a_server_that_may_drop_records_fails() -> None:
    """Any policy but noeviction can drop the records of a running execution."""
    found = judge(replace(GOOD, server_config={"maxmemory-policy": "allkeys-lru"}))
    (wrong,) = (finding for finding in found if finding.level != "ok")
    assert (wrong.level, wrong.found) == ("fail", "maxmemory-policy allkeys-lru")
    assert "noeviction" in wrong.hint


@pytest.mark.parametrize(
    ("setting", "value", "wrong"),
    [
        ("accept_content", ["json", "pickle"], {"content": "fail"}),
        ("task_acks_late", False, {"acknowledgement": "warn"}),
        ("worker_prefetch_multiplier", 4, {"prefetch": "warn"}),
        ("result_expires", 60, {"result expiry": "warn"}),
        ("result_expires", None, {}),
        ("worker_deduplicate_successful_tasks", True, {"deduplication": "fail"}),
    ],
)
def test_what_it_says_of_settings(setting: str, value: Any, wrong: dict[str, str]) -> None:
    """Each setting that weakens a promise is named, with what to set instead."""
    assert what_is_wrong(replace(GOOD, conf={**GOOD.conf, setting: value})) == wrong


@pytest.mark.parametrize("queues", [{"celery": {}, "loose": {"no_ack": True}}, [Queue("loose", no_ack=True)]])
def test_a_queue_without_acknowledgement_needs_a_bound(queues: Any) -> None:
    """One worker would take such a queue whole, unless workers take no more than they can run."""
    unbound = replace(GOOD, conf={**GOOD.conf, "task_queues": queues})
    (wrong,) = (finding for finding in judge(unbound) if finding.level != "ok")
    assert (wrong.check, wrong.level) == ("queues without acknowledgement", "fail")
    assert "loose" in wrong.found
    assert "celery" not in wrong.found
    assert what_is_wrong(replace(unbound, conf={**unbound.conf, "worker_disable_prefetch": True})) == {}


def test_a_server_that_does_not_tell() -> None:
    """A hosted server may refuse INFO and CONFIG: what is not known is a warning, and no failure."""
    silent = replace(GOOD, server={}, server_config={})
    assert what_is_wrong(silent) == dict.fromkeys(("server version", "append-only file", "memory policy"), "warn")
    told = replace(GOOD, server={**GOOD.server, "maxmemory_policy": "allkeys-lru"}, server_config={})
    assert what_is_wrong(told) == {"memory policy": "fail"}


def test_a_worker_that_does_not_know_the_tasks() -> None:
    """It would throw their messages away, so it is named."""
    found = judge(replace(GOOD, workers={**GOOD.workers, "celery@b": ["shop.pack"]}))
    (wrong,) = (finding for finding in found if finding.level != "ok")
    assert (wrong.level, wrong.found) == ("warn", "celery@b does not know the engine's tasks")


def test_a_broker_that_is_away() -> None:
    """Nothing can be said of workers then; the rest is judged all the same."""
    found = judge(replace(GOOD, workers={}, sweeper_age=None, broker_problem="Connection refused"))
    assert [(f.level, f.check, f.found) for f in found if f.level != "ok"] == [("fail", "broker", "Connection refused")]
    assert {finding.check for finding in found} >= {"server version", "prefetch"}


def test_who_must_be_there() -> None:
    """No worker, or a sweeper that has gone silent, fails; a clock that is off is a warning."""
    assert what_is_wrong(replace(GOOD, workers={})) == {"workers": "fail"}
    assert "tasks" not in {finding.check for finding in judge(replace(GOOD, workers={}))}
    assert what_is_wrong(replace(GOOD, sweeper_age=None)) == {"sweeper": "fail"}
    assert what_is_wrong(replace(GOOD, sweeper_age=600.0)) == {"sweeper": "fail"}
    assert what_is_wrong(replace(GOOD, skew=60.0)) == {"clock": "warn"}


def test_a_queue_that_no_worker_listens_to_fails() -> None:
    """Workers of other queues alone begin no plan: the queue is named, and how a worker is started."""
    found = judge(replace(GOOD, unheard="shop", start="celery -A shop.app worker"))
    (wrong,) = (finding for finding in found if finding.level != "ok")
    assert (wrong.level, wrong.check, wrong.found) == ("fail", "queue", "no worker listens to shop")
    assert "celery -A shop.app worker;" in wrong.hint


def test_a_pool_that_enforces_no_timeout_is_a_warning() -> None:
    """Each worker whose pool is not prefork is named: a timeout in a plan does nothing there, without a word."""
    found = judge(replace(GOOD, pools={"celery@b": "thread", "celery@a": "prefork"}))
    (wrong,) = (finding for finding in found if finding.level != "ok")
    assert (wrong.level, wrong.check, wrong.found) == ("warn", "pool", "celery@b has thread")


def test_a_server_that_is_away_is_all_there_is_to_say() -> None:
    """Without a server nothing else can be known."""
    (finding,) = judge(replace(GOOD, problem="Connection refused"))
    assert (finding.level, finding.check, finding.found) == ("fail", "backend", "Connection refused")

"""Observers: one that breaks stops nothing, none costs nothing, and what a metric may tell apart is bounded."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery
from prometheus_client import CollectorRegistry

from workflow_state import AttemptInfo, compile_plan
from workflow_state.models import ExecutionPlan
from workflow_state.observers import prometheus
from workflow_state.observers.prometheus import MAX_NAMES, MAX_PAIRS, OTHER, PrometheusObserver
from workflow_state.runtime.observers import SENT_AT, Observer, Observers, observers_of
from workflow_state.testing import run_plan

ROOT = Path(__file__).parents[2]

FORKED = """
import os, signal, sys, threading, time
from workflow_state.observers.relay import Relay

received = []
relay = Relay(received.append)
relay.open()
pause = threading.Event()

def child(run):
    pid = os.fork()
    if pid == 0:
        run()
        os._exit(0)
    return pid

def wait_until(true):
    end = time.monotonic() + 20
    while not true() and time.monotonic() < end:
        pause.wait(0.01)
"""

SEVERAL = """
for kinds in ("ab", "c"):
    os.waitpid(child(lambda: [relay.send([kind, "x" * 60, 1.5]) for kind in kinds]), 0)
relay.send(["here", "", 0])
relay.listen()
wait_until(lambda: len(received) == 4)
print(sorted(kind for kind, *_ in received))
"""

FULL = """
def flood():
    for n in range(5000):
        relay.send(["many", "x" * 60, n])
    os.kill(os.getppid(), signal.SIGUSR1)
    for n in range(50):
        pause.wait(0.01)
        relay.send(["late", "", n])

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
started = time.monotonic()
pid = child(flood)
signal.sigwait({signal.SIGUSR1})
took = time.monotonic() - started
relay.listen()
os.waitpid(pid, 0)
dropped = lambda: sum(number for kind, number, *_ in received if kind == "dropped")
others = lambda: sum(kind != "dropped" for kind, *_ in received)
wait_until(lambda: dropped() + others() == 5050)
print(dropped() > 1000, others() > 500, dropped() + others(), took < 5)
"""


def attempt(plan: str = "p", definition: str = "d") -> AttemptInfo:
    """An attempt of that plan and definition."""
    return AttemptInfo("e", "id", plan, "a", definition, 1)


def run_python(code: str) -> str:
    """What a program prints that runs in another process."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Seen(Observer):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, bool]] = []
        self.waits: list[tuple[str, float | None]] = []

    def attempt_started(self, attempt: AttemptInfo, queue: str, waited: float | None) -> None:
        self.waits.append((queue, waited))

    def attempt_ended(self, attempt: AttemptInfo, outcome: str, duration: float, error: object) -> None:
        self.outcomes.append((outcome, 4 <= duration < 5))


class Broken(Observer):
    """Cannot be told anything."""

    def attempt_ended(self, attempt: AttemptInfo, outcome: str, duration: float, error: object) -> None:
        raise RuntimeError("no room left")


def test_an_observer_that_breaks_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What it raises is logged, and those after it are told all the same."""
    seen = Seen()
    watched = Observers([Broken(), seen]).outside(attempt(), int((time.time() - 4) * 1000))
    watched.ended("retry", None)
    watched.ended("completed", None)
    assert seen.outcomes == [("retried", True), ("completed", True)]
    assert [("no room left" in text, "Broken" in text) for text in caplog.messages] == [(True, True)] * 2


def test_without_observers_nothing_is_sent_for_them() -> None:
    """An app that asks for none has none, sends no header for them, and loads nothing of theirs."""
    observers = observers_of(Celery("plain", set_as_current=False))
    assert not observers
    assert observers.headers() == {}
    code = "import sys, workflow_state; print([name for name in sys.modules if name.startswith('workflow_state.obs')])"
    assert run_python(code) == "[]\n"


@pytest.mark.parametrize(
    ("sent_at", "known"),
    [(time.time() - 4, True), (None, False), ("soon", False), ({}, False)],
    ids=["told", "not told", "no number", "an object"],
)
def test_a_message_may_say_anything_of_its_wait(sent_at: object, known: bool) -> None:
    """The time in a message's header is used if it is one; an attempt does not fail over one that is not."""
    seen = Seen()
    request = SimpleNamespace(delivery_info={"routing_key": "q"}, **{SENT_AT: sent_at})
    Observers([seen]).start(attempt(), request, lost=False)
    assert [(queue, waited is not None and waited >= 4) for queue, waited in seen.waits] == [("q", known)]


@pytest.mark.parametrize(
    ("setting", "package", "extra"),
    [
        ('"metrics_address": "127.0.0.1:0"', "prometheus_client", "prometheus"),
        ('"tracing": True', "opentelemetry", "otel"),
    ],
)
def test_an_extra_that_is_missing_is_named(setting: str, package: str, extra: str) -> None:
    """Without the package that a setting needs, a caller works on and is told which extra to install; a worker does
    not start.
    """
    code = f"""
import sys
sys.modules[{package!r}] = None
from celery import Celery
from workflow_state import ConfigurationError
from workflow_state.runtime.observers import observers_of
app = Celery("shop", broker="memory://", backend="redis://")
app.conf.workflow_state = {{{setting}}}
assert not observers_of(app)
try:
    app.Worker()
except ConfigurationError as error:
    print(error)
"""
    assert f"pip install 'workflow-state[{extra}]'" in run_python(code)


@pytest.fixture
def observer() -> PrometheusObserver:
    """An observer that serves nowhere."""
    app = Celery("shop", set_as_current=False)
    app.conf.workflow_state = {"metrics_address": "127.0.0.1:0"}
    return PrometheusObserver(app)


def label_values(registry: CollectorRegistry, name: str, label: str) -> set[str]:
    """The different values of a label of a metric."""
    return {
        sample.labels[label]
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == name and label in sample.labels
    }


def test_label_values_are_bounded(observer: PrometheusObserver) -> None:
    """Whatever plans there are, a worker tells so many names apart, each so long, and counts the rest as one."""
    for n in range(MAX_PAIRS + 50):
        observer.attempt_ended(attempt(f"plan-{n}-{'x' * 200}"), "completed", 0.1, None)
        observer.attempt_ended(attempt("plan-0-" + "x" * 200, f"action-{n}"), "completed", 0.1, None)
        observer.attempt_started(attempt(), f"queue-{n}", 0.1)
    plans = label_values(observer.registry, "workflow_state_attempts_total", "plan")
    actions = label_values(observer.registry, "workflow_state_attempts_total", "action")
    queues = label_values(observer.registry, "workflow_state_queue_wait_seconds_count", "queue")
    assert (len(plans), len(queues)) == (MAX_NAMES + 1, MAX_NAMES + 1)
    assert MAX_PAIRS / 2 < len(actions) <= MAX_PAIRS + 1
    assert all(OTHER in values for values in (plans, actions, queues))
    assert max(map(len, plans)) == prometheus.NAME_LENGTH


def test_skipped_actions_have_no_duration(observer: PrometheusObserver) -> None:
    """An action that never ran is counted, and is in no histogram; wide executions are counted whole."""
    actions = [{"id": f"a{n}", "action_definition_id": "x"} for n in range(100)]
    actions.append({"id": "no", "action_definition_id": "y", "condition": {"if": "false"}})
    plan = {"name": "Wide", "actions": actions}
    state = run_plan(plan, {"x": lambda: 1, "y": lambda: 2})
    observer.execution_ended(compile_plan(ExecutionPlan.model_validate(plan)), state)

    def value(name: str, **labels: str) -> float | None:
        return observer.registry.get_sample_value(f"workflow_state_{name}", {"plan": "Wide", **labels})

    assert value("actions_total", action="x", status="completed") == 100
    assert value("action_duration_seconds_count", action="x") == 100
    assert value("actions_total", action="y", status="skipped") == 1
    assert value("action_duration_seconds_count", action="y") is None
    assert value("executions_total", status="completed") == 1


def test_forked_processes_hand_over_what_they_saw() -> None:
    """All that several processes send arrives whole in the one that made the pipe, even after they have ended."""
    assert run_python(FORKED + SEVERAL).strip() == "['a', 'b', 'c', 'here']"


def test_a_full_pipe_holds_nobody_up() -> None:
    """Where nobody reads, a process drops what it has to say, soon, and tells later how much that was."""
    assert run_python(FORKED + FULL).strip() == "True True 5050 True"

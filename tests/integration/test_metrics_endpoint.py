"""Metrics scraped from a real worker over HTTP agree with what the StateManager says of the same executions."""

from __future__ import annotations

import re
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.apps import watched_app
from tests.integration.outcomes import ONCE, TIMEOUT
from tests.integration.services import running_service
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import ExecutionState, PlanExecutionError, StateManager, execute_plan
from workflow_state.runtime.canvas import HARD_LIMIT_GRACE

QUICK = {"min_timeout_in_ms": 10, "max_timeout_in_ms": 20}


@pytest.fixture(scope="module")
def metered(database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An app whose prefork worker, of two processes, serves metrics on a free port."""
    found = Site(watched_app.make_app(), watched_app.__name__, database(), tmp_path_factory.mktemp("metrics"))
    found.settings(workflow_state={"metrics_address": "127.0.0.1:0"})
    try:
        found.start_worker()
        with found.current():
            yield found
    finally:
        found.close(warm=False)


@pytest.fixture(scope="module")
def states(metered: Site) -> list[ExecutionState]:
    """Executions that ended, each in its own way: with retries, lost and overrun processes, skips, a remote service."""
    good = plan(
        action("flaky", "test.flaky", inputs={"times": 1, "value": 1}, retry=QUICK),
        action("fatal", "test.fatal", inputs={"times": 1}),
        action("never", "test.echo", "flaky", condition={"if": "${flaky.output} == 2"}),
        action("last", "test.echo", "flaky", "fatal"),
        name="Good",
    )
    bad = plan(
        action("fails", "test.fail", inputs={"message": "no"}, retry={**QUICK, "max_attempts": 3}),
        action("after", "test.echo", "fails"),
        id="bad",
    )
    tolerant = plan(
        action("fails", "test.fail", inputs={"message": "no"}, retry=ONCE, error_handling={"fallback_value": 7}),
        action("asked", "test.echo", "fails", user_confirmation={"title": "Go on?", "timeout": 200}),
        name="Asks",
    )
    there = plan(
        action("a", "test.remote", inputs={"value": 1, "fail": "rate_limit_burst"}, retry=QUICK), name="Elsewhere"
    )
    late = plan(action("deaf", "test.deaf", inputs={"name": "never"}, timeout=1000, retry=ONCE), name="Overruns")
    with metered.current(), running_service(metered):
        results = [execute_plan.delay(wanted) for wanted in (late, good, bad, tolerant, there)]
        for result in results:
            try:
                result.get(timeout=TIMEOUT)
            except PlanExecutionError:
                continue
        return [StateManager().get_full_state(result.id) for result in results]


def scrape(site: Site) -> dict[str, Metric]:
    """Every metric of the worker, by name."""
    (address,) = re.findall(r"metrics served.*address='([^']+)'", site.workers[0].output)
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
        return {metric.name: metric for metric in text_string_to_metric_families(answer.read().decode())}


def values(metric: Metric, suffix: str, *labels: str) -> Counter[Any]:
    """The samples of a metric by the values of these labels."""
    found: Counter[Any] = Counter()
    for sample in metric.samples:
        if sample.name == f"{metric.name}_{suffix}" and sample.value:
            found[tuple(sample.labels[label] for label in labels)] += sample.value
    return found


@pytest.fixture(scope="module")
def metrics(metered: Site, states: list[ExecutionState]) -> dict[str, Metric]:
    """All metrics once the last execution is in them."""
    name = "workflow_state_executions"
    wait_until(lambda: values(scrape(metered)[name], "total").total() == len(states), TIMEOUT, "all are counted")
    return scrape(metered)


def test_counts_agree_with_the_states(metrics: dict[str, Metric], states: list[ExecutionState]) -> None:
    """Executions and actions by final status, attempts by outcome, and durations are those of the states."""
    names = ["Overruns", "Good", "bad", "Asks", "Elsewhere"]
    assert [state.status for state in states] == ["failed", "completed", "failed", "cancelled", "completed"]
    executions = values(metrics["workflow_state_executions"], "total", "plan", "status")
    assert executions == Counter({(name, state.status.value): 1 for name, state in zip(names, states, strict=True)})
    found: Counter[tuple[str, str]] = Counter()
    outcomes: Counter[str] = Counter()
    for name, state in zip(names, states, strict=True):
        for done in state.action_states.values():
            found[name, done.status.value] += 1
            outcomes["lost"] += sum(attempt.outcome == "lost" for attempt in done.trace)
        assert state.metrics.total_actions == len(state.action_states)
    assert values(metrics["workflow_state_actions"], "total", "plan", "status") == found
    attempts = values(metrics["workflow_state_attempts"], "total", "outcome")
    assert attempts == Counter({("completed",): 4, ("retried",): 4, ("failed",): 3, ("lost",): 1})
    assert outcomes["lost"] == 1
    assert attempts.total() == sum(done.attempts for state in states for done in state.action_states.values())
    times = values(metrics["workflow_state_execution_duration_seconds"], "sum", "plan")
    for name, state in zip(names, states, strict=True):
        assert times[(name,)] == pytest.approx((state.metrics.total_duration or 0) / 1000)


def test_actions_are_told_apart_by_definition(metrics: dict[str, Metric]) -> None:
    """The labels of an action are its plan and the id of its definition."""
    counted = values(metrics["workflow_state_attempts"], "total", "plan", "action", "outcome")
    assert counted["Good", "test.flaky", "retried"] == counted["Good", "test.flaky", "completed"] == 1
    assert counted["bad", "test.fail", "retried"] == 2
    assert counted["bad", "test.fail", "failed"] == 1


def test_an_attempt_that_the_hard_limit_ends_is_counted(metrics: dict[str, Metric]) -> None:
    """The main process counts the attempt whose process it ends, for as long as that ran."""
    counted = values(metrics["workflow_state_attempts"], "total", "plan", "outcome")
    assert counted["Overruns", "failed"] == 1
    seconds = values(metrics["workflow_state_attempt_duration_seconds"], "sum", "plan")[("Overruns",)]
    assert HARD_LIMIT_GRACE < seconds < HARD_LIMIT_GRACE + TIMEOUT


def test_waits_and_the_sweeper_are_counted(metrics: dict[str, Metric]) -> None:
    """Time in the queue, which a retry's own delay is no part of; what the sweeper did."""
    waits = metrics["workflow_state_queue_wait_seconds"]
    assert values(waits, "count", "queue")[("shop",)] >= 8
    assert values(waits, "sum", "queue")[("shop",)] < 8 * TIMEOUT
    swept = values(metrics["workflow_state_sweeper_actions"], "total", "kind")
    assert swept[("confirmation_timed_out",)] == 1


def test_no_id_is_a_label(metered: Site, metrics: dict[str, Metric], states: list[ExecutionState]) -> None:
    """Label values are names out of plans; no execution, task or process is among them."""
    labels = {label for metric in metrics.values() for sample in metric.samples for label in sample.labels}
    assert labels == {"plan", "status", "action", "outcome", "queue", "kind", "le"}
    seen = {value for metric in metrics.values() for sample in metric.samples for value in sample.labels.values()}
    assert not seen & {state.id for state in states}


def test_a_taken_address_is_no_reason_to_stop(metered: Site) -> None:
    """A second worker at the same address works on without metrics, and says so."""
    (address,) = re.findall(r"metrics served.*address='([^']+)'", metered.workers[0].output)
    metered.settings(workflow_state={"metrics_address": address})
    worker = metered.start_worker()
    wait_until(lambda: "metrics not served" in worker.output, TIMEOUT)
    assert worker.process.poll() is None


def test_a_worker_of_threads_counts_too(fresh: Site) -> None:
    """Where actions run in threads of the main process, what they do is counted the same."""
    fresh.settings(workflow_state={"metrics_address": "127.0.0.1:0"})
    fresh.start_worker("--pool", "threads", concurrency=3)
    actions = [action(f"a{n}", "test.echo") for n in range(5)]
    assert execute_plan.delay(plan(*actions, name="Threads")).get(timeout=TIMEOUT).status == "completed"
    # An attempt is counted once its end is recorded: the end of the plan, by another thread, may be there before.
    attempts = lambda: values(scrape(fresh)["workflow_state_attempts"], "total", "plan")  # noqa: E731
    wait_until(lambda: attempts() == {("Threads",): 5}, TIMEOUT, "all attempts are counted")
    found = values(scrape(fresh)["workflow_state_actions"], "total", "plan", "status")
    assert found == {("Threads", "completed"): 5}

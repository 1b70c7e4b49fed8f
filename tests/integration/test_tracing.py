"""Spans of real workers: one trace from the caller through an execution to its attempts and what they do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from kombu import Queue
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from tests.integration.apps import watched_app
from tests.integration.apps.own_app import SETTINGS
from tests.integration.outcomes import ONCE, TIMEOUT
from tests.integration.services import running_service
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import ExecutionState, PlanExecutionError, StateManager, Success, execute_plan
from workflow_state.events import events_exchange
from workflow_state.settings import Settings

BY_HAND = """
import json, time
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.integration.apps.watched_app import app
from workflow_state import AttemptInfo, ErrorCategory, ErrorDetail, StateManager
from workflow_state.runtime.observers import observers_of

exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
manager = StateManager(app)
plan = {"id": "p", "name": "By hand", "actions": [{"id": "a", "action_definition_id": "x"}]}
with trace.get_tracer("shop").start_as_current_span("request"):
    state = manager.initialize_state(plan, start=False)
manager.update_action_status(state.id, "a", "running")
attempt = AttemptInfo(state.id, "p", "By hand", "a", "x", 1)
error = ErrorDetail(category=ErrorCategory.NETWORK_TIMEOUT, message="overran")
observers_of(app).outside(attempt, int((time.time() - 5) * 1000)).ended("failed", error)
manager.record_action_result(state.id, "a", {"ok": True})
print(json.dumps([json.loads(span.to_json()) for span in exporter.get_finished_spans()]))
"""
CALLER = SpanContext(0xABC, 0x123, False, TraceFlags(TraceFlags.SAMPLED))
WANTED = plan(
    action("one", "watched.span", inputs={"name": "inside one"}, queue="side"),
    action("two", "watched.span", inputs={"name": "inside two", "times": 1}, retry={"min_timeout_in_ms": 10}),
    action("skipped", "test.echo", condition={"if": "false"}),
    action("end", "test.fail", "one", "two", inputs={"message": "no more"}, retry=ONCE),
    name="Traced",
)


@pytest.fixture(scope="module")
def traced(database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An app with two workers, each with a queue of its own."""
    found = Site(watched_app.make_app(), watched_app.__name__, database(), tmp_path_factory.mktemp("traces"))
    settings = {**SETTINGS, "tracing": True}
    found.app.conf.workflow_state = settings
    found.settings(workflow_state=settings)
    try:
        found.start_worker(concurrency=1)
        found.start_worker("--queues", "side", concurrency=1)
        with found.current():
            yield found
    finally:
        found.close()


def run(site: Site) -> ExecutionState:
    """Run the plan, which fails, to its end."""
    result = execute_plan.delay(WANTED)
    with pytest.raises(PlanExecutionError):
        result.get(timeout=TIMEOUT)
    return StateManager().get_full_state(result.id)


def spans_of(site: Site, trace_id: int | None, count: int) -> list[dict[str, Any]]:
    """The spans of a trace, when there are as many; None: of the trace that is not the caller's."""

    def found() -> list[dict[str, Any]]:
        every = [json.loads(text) for text in site.notes("spans")]
        here = [int(span["context"]["trace_id"], 16) for span in every]
        return [span for span, at in zip(every, here, strict=True) if (at == CALLER.trace_id) == (trace_id is not None)]

    wait_until(lambda: len(found()) >= count, TIMEOUT, f"{count} spans")
    spans = found()
    assert len(spans) == count
    return spans


def parent(span: dict[str, Any]) -> int | None:
    """Id of a span's parent."""
    return None if span["parent_id"] is None else int(span["parent_id"], 16)


def own(span: dict[str, Any]) -> int:
    """Id of a span."""
    return int(span["context"]["span_id"], 16)


def test_a_trace_goes_from_the_caller_through_the_workers(traced: Site) -> None:
    """The execution is a span below the caller's, each attempt one below it, and what user code does one below that;
    times and errors are those of the state. A skipped action has no span.
    """
    with trace.use_span(NonRecordingSpan(CALLER)):
        state = run(traced)
    spans = spans_of(traced, CALLER.trace_id, 8)
    (whole,) = [span for span in spans if span["name"] == "Traced"]
    assert parent(whole) == CALLER.span_id
    assert whole["attributes"]["workflow_state.execution_id"] == state.id
    assert whole["attributes"]["workflow_state.status"] == "failed"
    assert whole["status"] == {"status_code": "ERROR", "description": "Action 'end' failed: no more"}
    assert datetime.fromisoformat(whole["start_time"]) == state.started_at
    assert datetime.fromisoformat(whole["end_time"]) == state.completed_at
    attempts = {
        (span["attributes"]["workflow_state.action_id"], span["attributes"]["workflow_state.attempt"]): span
        for span in spans
        if span["kind"] == "SpanKind.CONSUMER"
    }
    assert {name: span["attributes"]["workflow_state.outcome"] for name, span in attempts.items()} == {
        ("one", 1): "completed",
        ("two", 1): "retried",
        ("two", 2): "completed",
        ("end", 1): "failed",
    }
    assert {parent(span) for span in attempts.values()} == {own(whole)}
    assert {span["name"] for span in attempts.values()} == {"Traced/one", "Traced/two", "Traced/end"}
    assert attempts["end", 1]["status"] == {"status_code": "ERROR", "description": "no more"}
    assert attempts["two", 1]["attributes"]["error.type"] == "network_connection_refused"
    assert all(0 <= span["attributes"]["workflow_state.queue_wait"] < TIMEOUT for span in attempts.values())
    inside = sorted((span["name"], parent(span)) for span in spans if span["name"].startswith("inside"))
    assert inside == sorted(
        [
            ("inside one", own(attempts["one", 1])),
            ("inside two", own(attempts["two", 1])),
            ("inside two", own(attempts["two", 2])),
        ]
    )


def test_without_a_caller_the_execution_begins_a_trace(traced: Site) -> None:
    """Started where no span is current, its own is the root; it is the parent of attempts in several workers."""
    state = run(traced)
    outputs = [state.action_states[name].result for name in ("one", "two")]
    assert len({found.output for found in outputs if isinstance(found, Success)}) == 2
    spans = spans_of(traced, None, 8)
    (whole,) = [span for span in spans if span["name"] == "Traced"]
    assert parent(whole) is None
    assert {span["context"]["trace_id"] for span in spans} == {whole["context"]["trace_id"]}
    assert whole["attributes"]["workflow_state.execution_id"] == state.id
    attempts = [span for span in spans if span["kind"] == "SpanKind.CONSUMER"]
    assert [parent(span) for span in attempts] == [own(whole)] * 4


def test_a_remote_action_is_traced_to_its_answer(traced: Site) -> None:
    """The request carries the attempt's place in the trace; each attempt's span ends with the service's answer."""
    exchange = events_exchange(Settings.of(traced.app))
    with traced.app.connection_for_read() as connection, running_service(traced):
        probe = Queue("probe", exchange, "action.execute.requested", channel=connection, auto_delete=True)
        probe.declare()
        action_ = action("a", "test.remote", inputs={"value": 1, "fail": "rate_limit_burst"}, retry={"factor": 1})
        state = execute_plan.delay(plan(action_, name="Remote")).get(timeout=TIMEOUT)
        request = probe.get(no_ack=True)
    assert state.action_states["a"].attempts == 2

    def remote() -> list[dict[str, Any]]:
        return [span for text in traced.notes("spans") if (span := json.loads(text))["name"].startswith("Remote")]

    wait_until(lambda: len(remote()) == 3, TIMEOUT, "three spans")
    first, second, whole = remote()
    assert [parent(first), parent(second)] == [own(whole), own(whole)]
    assert [span["attributes"]["workflow_state.outcome"] for span in (first, second)] == ["retried", "completed"]
    version, trace_id, span_id, flags = request.headers["traceparent"].split("-")
    assert (version, flags) == ("00", "01")
    assert int(trace_id, 16) == int(whole["context"]["trace_id"], 16)
    assert int(span_id, 16) == own(first)
    assert datetime.fromisoformat(whole["start_time"]) < datetime.fromisoformat(first["start_time"])
    assert datetime.fromisoformat(first["end_time"]) <= datetime.fromisoformat(second["start_time"])


def test_each_action_of_a_batch_has_its_span(traced: Site) -> None:
    """Actions that share a message have spans of their own, one after the other; what each does is below its own."""
    names = ("x", "y", "z")
    actions = [action(name, "watched.span", inputs={"name": f"in {name}"}) for name in names]
    state = execute_plan.delay(plan(*actions, name="Batched", batch_size=10)).get(timeout=TIMEOUT)
    assert len({found.result.output for found in state.action_states.values()}) == 1, "one message, one process"

    def batched() -> dict[str, dict[str, Any]]:
        spans = [json.loads(text) for text in traced.notes("spans")]
        return {span["name"]: span for span in spans if span["name"].startswith(("Batched", "in "))}

    wait_until(lambda: len(batched()) == 7, TIMEOUT, "seven spans")
    spans = batched()
    ends = [datetime.fromisoformat(spans[f"Batched/{name}"]["end_time"]) for name in names]
    starts = [datetime.fromisoformat(spans[f"Batched/{name}"]["start_time"]) for name in names]
    for name in names:
        assert parent(spans[f"in {name}"]) == own(spans[f"Batched/{name}"])
        assert parent(spans[f"Batched/{name}"]) == own(spans["Batched"])
        assert "workflow_state.queue_wait" in spans[f"Batched/{name}"]["attributes"]
    assert starts[0] <= ends[0] <= starts[1] <= ends[1] <= starts[2] <= ends[2]


def test_an_execution_that_its_caller_drives(traced: Site) -> None:
    """``initialize_state`` continues the trace of its caller too; an attempt that the hard time limit ended, and its
    span with its process, has one that is as long as it ran.
    """
    request, attempt, whole = json.loads(traced.run_python(BY_HAND))
    assert [span["name"] for span in (request, attempt, whole)] == ["request", "By hand/a", "By hand"]
    assert (parent(request), parent(whole), parent(attempt)) == (None, own(request), own(whole))
    assert len({span["context"]["trace_id"] for span in (request, attempt, whole)}) == 1
    ran = datetime.fromisoformat(attempt["end_time"]) - datetime.fromisoformat(attempt["start_time"])
    assert ran.total_seconds() == pytest.approx(5, abs=0.5)
    assert attempt["attributes"]["error.type"] == "network_timeout"
    assert whole["attributes"]["workflow_state.status"] == "completed"


def test_where_no_tracer_is_set_nothing_is_traced(traced: Site) -> None:
    """An execution that was accepted in a process without tracer provider runs all the same, and has no span."""
    before = len(traced.notes("spans"))
    state = StateManager().initialize_state(plan(action("a", "test.echo"), name="Untraced"))
    assert execute_plan.AsyncResult(state.id).get(timeout=TIMEOUT).status == "completed"
    assert len(traced.notes("spans")) == before

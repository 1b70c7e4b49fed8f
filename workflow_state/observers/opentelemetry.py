"""Traces for OpenTelemetry, with the extra ``[otel]``: a span for each execution, and one in it for each attempt.

``tracing`` in ``app.conf.workflow_state`` turns them on, in callers and workers. The execution's span is a child of
the one that is current where the plan is started. Its ids are chosen when the execution is accepted and stored with
it, so every worker, at any later time, can hang attempts below it; the span itself is made when the execution has
ended, by whichever process ends it. Where spans go is up to the tracer provider that the process has set.
"""

from __future__ import annotations

import copy
import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final

from celery import Celery, current_task
from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Tracer
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from workflow_state.models import ErrorDetail, ExecutionState
from workflow_state.program import Program
from workflow_state.runtime.engine import engine_of
from workflow_state.runtime.observers import Observer
from workflow_state.telemetry import AttemptInfo

#: Field of an execution: ``{"span": ..., "parent": ...}``, each as W3C headers.
FIELD: Final = "trace"
#: Executions whose place in their trace a process remembers; attempts that it waits to hear the outcome of.
REMEMBERED: Final = 1000

_W3C: Final = TraceContextTextMapPropagator()


class OpenTelemetryObserver(Observer):
    """Makes the spans. Without a tracer provider of the SDK in a process, that process makes none."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._running = _Running()
        self._places = lru_cache(REMEMBERED)(self._read_place)

    def headers(self) -> Mapping[str, str]:
        headers: dict[str, str] = {}
        if trace.get_current_span().get_span_context().is_valid:
            propagate.inject(headers)
        return headers

    def execution_accepted(self, execution_id: str, program: Program) -> Mapping[str, str]:
        tracer = _tracer()
        if tracer is None:
            return {}
        parent = _current_or_sent()
        above = trace.get_current_span(parent).get_span_context()
        trace_id = above.trace_id if above.is_valid else tracer.id_generator.generate_trace_id()
        decision = tracer.sampler.should_sample(parent, trace_id, program.title).decision
        sampled = decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
        span = SpanContext(trace_id, tracer.id_generator.generate_span_id(), True, flags, above.trace_state)
        return {FIELD: json.dumps({"span": _written(_below(span)), "parent": _written(parent)})}

    def attempt_started(self, attempt: AttemptInfo, queue: str, waited: float | None) -> None:
        tracer, place = _tracer(), self._places(attempt.execution_id)
        if tracer is None or place is None:
            return
        span = self._attempt_span(tracer, place[0], attempt, time.time_ns())
        span.set_attribute("messaging.destination.name", queue)
        if waited is not None:
            span.set_attribute("workflow_state.queue_wait", waited)
        self._running.begin(attempt, span)

    def attempt_ran(self, attempt: AttemptInfo) -> None:
        self._running.ran(attempt)

    def attempt_ended(self, attempt: AttemptInfo, outcome: str, duration: float, error: ErrorDetail | None) -> None:
        span, ended = self._running.take(attempt) or (None, None)
        if span is None:
            # It ends elsewhere than it began: at the hard time limit, or by the answer of a service.
            tracer, place = _tracer(), self._places(attempt.execution_id)
            if tracer is None or place is None:
                return
            span = self._attempt_span(tracer, place[0], attempt, time.time_ns() - int(duration * 1e9))
        span.set_attribute("workflow_state.outcome", outcome)
        _note_error(span, error)
        span.end(ended)

    def attempt_left(self, attempt: AttemptInfo) -> None:
        self._running.take(attempt)

    def execution_ended(self, program: Program, state: ExecutionState) -> None:
        tracer, place = _tracer(), self._places(state.id)
        if tracer is None or place is None or state.started_at is None or state.completed_at is None:
            return
        at, parent = place
        chosen = trace.get_current_span(at).get_span_context()
        attributes: dict[str, str | int] = {
            "workflow_state.execution_id": state.id,
            "workflow_state.plan_id": state.plan_id,
            "workflow_state.plan": program.title,
            "workflow_state.status": state.status.value,
            "workflow_state.actions": state.metrics.total_actions,
            "workflow_state.actions_failed": state.metrics.failed_actions,
            "workflow_state.actions_skipped": state.metrics.skipped_actions,
        }
        started = _nanoseconds(state.started_at)
        tracer = _giving(tracer, chosen.trace_id, chosen.span_id)
        span = tracer.start_span(program.title, parent, SpanKind.INTERNAL, attributes, start_time=started)
        _note_error(span, state.error)
        span.end(_nanoseconds(state.completed_at))

    def _attempt_span(self, tracer: Tracer, at: Context, attempt: AttemptInfo, started: int) -> Span:
        attributes: dict[str, str | int] = {
            "workflow_state.execution_id": attempt.execution_id,
            "workflow_state.plan_id": attempt.plan_id,
            "workflow_state.plan": attempt.plan_name,
            "workflow_state.action_id": attempt.action_id,
            "workflow_state.action": attempt.definition,
            "workflow_state.attempt": attempt.attempt,
        }
        name = f"{attempt.plan_name}/{attempt.action_id}"
        # The same wherever it is made: what ran below it in a process that died, or in a service, stays below it.
        unique = f"{attempt.execution_id}|{attempt.action_id}|{attempt.attempt}".encode()
        span_id = int.from_bytes(hashlib.blake2b(unique, digest_size=8).digest()) or 1
        tracer = _giving(tracer, trace.get_current_span(at).get_span_context().trace_id, span_id)
        return tracer.start_span(name, at, SpanKind.CONSUMER, attributes, start_time=started)

    def _read_place(self, execution_id: str) -> tuple[Context, Context] | None:
        """Where an execution is in its trace: below its own span, and below its caller's."""
        (text,) = engine_of(self._app).store.fields(execution_id, FIELD)
        if not text:
            return None
        found = json.loads(text)
        return _W3C.extract(found["span"], Context()), _W3C.extract(found["parent"], Context())


class _Running:
    """The spans of attempts that this process has started and whose end is not recorded yet."""

    def __init__(self) -> None:
        self._spans: OrderedDict[AttemptInfo, tuple[Span, int | None]] = OrderedDict()
        self._here = threading.local()

    def begin(self, attempt: AttemptInfo, span: Span) -> None:
        """From here on the span is the current one for the user's code, in this thread."""
        self.stop_here()
        self._here.token = otel_context.attach(trace.set_span_in_context(span))
        self._spans[attempt] = span, None
        # Some are left over: those whose result was refused, or could not be recorded.
        while len(self._spans) > REMEMBERED:
            self._spans.popitem(last=False)

    def ran(self, attempt: AttemptInfo) -> None:
        """User code is over."""
        self.stop_here()
        if attempt in self._spans:
            self._spans[attempt] = self._spans[attempt][0], time.time_ns()

    def take(self, attempt: AttemptInfo) -> tuple[Span, int | None] | None:
        """The attempt's span and when its user code was over, once."""
        return self._spans.pop(attempt, None)

    def stop_here(self) -> None:
        """The thread is in no attempt any more."""
        token = getattr(self._here, "token", None)
        self._here.token = None
        if token is not None:
            otel_context.detach(token)


class _Chosen(IdGenerator):
    """Gives one span the ids that were chosen for it before."""

    def __init__(self, trace_id: int, span_id: int) -> None:
        self._trace_id, self._span_id = trace_id, span_id

    def generate_span_id(self) -> int:
        return self._span_id

    def generate_trace_id(self) -> int:
        return self._trace_id


def _giving(tracer: Tracer, trace_id: int, span_id: int) -> Tracer:
    """The same tracer, whose next span has these ids."""
    found = copy.copy(tracer)
    found.id_generator = _Chosen(trace_id, span_id)
    return found


def _tracer() -> Tracer | None:
    found = trace.get_tracer_provider().get_tracer("workflow_state")
    return found if isinstance(found, Tracer) else None


def _current_or_sent() -> Context:
    """The context of the current span, or else the one that came with the message of the task that runs."""
    if trace.get_current_span().get_span_context().is_valid:
        return otel_context.get_current()
    if not current_task:
        return Context()
    request = current_task.request
    carrier = {name: value for name in propagate.get_global_textmap().fields if (value := getattr(request, name, None))}
    return propagate.extract(carrier, Context())


def _below(span: SpanContext) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(span), Context())


def _written(context: Context) -> dict[str, str]:
    headers: dict[str, str] = {}
    _W3C.inject(headers, context)
    return headers


def _note_error(span: Span, error: ErrorDetail | None) -> None:
    """The error as the state has it, without secrets."""
    if error is not None:
        span.set_status(Status(StatusCode.ERROR, error.message))
        span.set_attribute("error.type", error.category.value)


def _nanoseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000) * 1_000_000

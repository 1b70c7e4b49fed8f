"""An app that is watched by every means: its actions log in every way there is, and are careless with secrets."""

from __future__ import annotations

import asyncio
import logging
import os
import warnings
from collections.abc import Sequence
from typing import Any

import structlog
from celery import Celery, shared_task, signals
from celery.utils.log import get_task_logger
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from tests.integration.actions import effects
from tests.integration.apps.own_app import make_app as make_own
from workflow_state import ActionContext, ActionError, AttemptInfo, action

ERRORS = "test-effects:tracked-errors"
"""Where :func:`track` notes what it was told of."""

SPANS = "test-effects:spans"
"""Where :class:`RedisExporter` puts spans."""

plain = logging.getLogger("shop.plain")
celery_logger = get_task_logger("shop.tasks")
structured = structlog.get_logger("shop.structured")


@action("watched.talk")
def talk(ctx: ActionContext, password: str, times: int = 0) -> dict[str, Any]:
    """Says all it knows, in every way; raises in its first ``times`` attempts."""
    plain.info("plain: signing in with %s", password)
    plain.warning("extra", extra={"api_key": password, "cart": {"items": 2, "session_id": password}})
    celery_logger.info("by Celery's logger")
    structured.info("structured", account={"password": password, "user": "ada"}, odd={(1, 2): float("nan")})
    ctx.logger.info("of the context", password=password, size=3)
    print(f"printed {password}")  # noqa: T201 - what careless code does
    warnings.warn(f"warned of {password}", stacklevel=1)
    if ctx.attempt <= times:
        try:
            raise ValueError(f"bad password {password}")
        except ValueError as error:
            plain.exception("caught")
            raise ActionError(f"refused {password}") from error
    return {"said": password}


@action("watched.later")
async def later(ctx: ActionContext, name: str) -> str:
    """Logs from a coroutine, a task of its own, and a thread that it waits for."""

    async def in_a_task() -> None:
        structured.info("in a task", name=name)

    await asyncio.gather(in_a_task(), asyncio.to_thread(plain.info, "in a thread: %s", name))
    return name


@shared_task(name="watched.other")
def other() -> str:
    """A task that is no action."""
    plain.info("in another task")
    return "done"


@action("watched.span")
def make_span(ctx: ActionContext, name: str, times: int = 0) -> str:
    """Makes a span of its own; raises in its first ``times`` attempts. Gives the id of its process."""
    with trace.get_tracer("shop").start_as_current_span(name):
        if ctx.attempt <= times:
            raise ConnectionError("gone")
    return str(os.getpid())


class RedisExporter(SpanExporter):
    """Hands the spans of every process of a worker over to the test."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Append each as JSON to a list."""
        effects().rpush(SPANS, *[span.to_json(indent=None) for span in spans])
        effects().expire(SPANS, 900)
        return SpanExportResult.SUCCESS


@signals.celeryd_init.connect(weak=False)
def trace_in_worker(**_: Any) -> None:
    """Set the tracer provider, as an app that uses OpenTelemetry does; its processors work in every process."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(RedisExporter()))
    trace.set_tracer_provider(provider)


def track(error: BaseException, attempt: AttemptInfo) -> None:
    """The app's error hook; it breaks when it is told of the action ``breaks-the-hook``."""
    plain.error("tracked")
    if attempt.action_id == "breaks-the-hook":
        raise RuntimeError("the tracker is down")
    note = f"{type(error).__name__} {attempt.execution_id} {attempt.plan_name} {attempt.action_id} {attempt.attempt}"
    effects().rpush(ERRORS, note)
    effects().expire(ERRORS, 900)


def make_app() -> Celery:
    """The app; a test process makes one for each database that it talks to."""
    made = make_own()
    made.conf.imports = ["tests.integration.actions", "tests.integration.apps.watched_app"]
    return made


app = make_app()

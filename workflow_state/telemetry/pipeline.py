"""One way for every log line of a process: ours, the user's by structlog or ``logging``, and Celery's.

Every line ends in one formatter on the root logger. It adds what is bound in the context (an attempt's execution,
plan, action and number), which Celery task wrote it, takes secrets out, and renders JSON or text.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from typing import Any, Final

import structlog
from celery import current_task
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from workflow_state.redaction import SECRET_NAMES, Redactor
from workflow_state.settings import LogFormat
from workflow_state.telemetry.binding import secrets_here

#: What a line is about, in this order, before all else that was logged.
NAMES: Final = ("task_id", "task_name", "execution_id", "plan_id", "action_id", "attempt")

_handlers: list[logging.Handler] = []


def is_configured() -> bool:
    """Whether this process's log lines go through here."""
    return bool(_handlers)


def send_through_pipeline(
    format: LogFormat = "json",
    level: int | str = "INFO",
    *,
    file: str | None = None,
    secret_names: Iterable[str] = SECRET_NAMES,
) -> logging.Handler:
    """Have every log line of this process, from whichever logger, rendered here; calling it again replaces that.

    Args:
        format: ``json``, one object a line; ``console``, text for people, in colour on a terminal.
        level: of the root logger.
        file: path to write to, opened again after a rotation; standard error when None.
        secret_names: names, in any spelling, of values that are not shown.

    Raises:
        ValueError: unknown format or level.
    """
    if format not in ("json", "console"):
        raise ValueError(f"The log format is {format!r}; it is 'json' or 'console'")
    # Not sys.stderr: a worker turns that into a logger, which would end here again.
    handler = WatchedFileHandler(file, encoding="utf-8") if file else logging.StreamHandler(sys.__stderr__)
    colors = file is None and sys.__stderr__ is not None and sys.__stderr__.isatty()
    handler.setFormatter(_formatter(format, Redactor(secret_names), colors))
    root = logging.getLogger()
    root.setLevel(level)
    for known in _handlers:
        known.close()
    root.handlers[:] = _handlers[:] = [handler]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return handler


def _formatter(format: LogFormat, redactor: Redactor, colors: bool) -> ProcessorFormatter:
    def hide_names(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        # A text in it may have quoted a secret already: quoted once more, as JSON does, it would not be found.
        cleaned: EventDict = redactor.clean(event, secrets_here())
        return cleaned

    if format == "json":
        render: Processor = structlog.processors.JSONRenderer(serializer=_to_json)
    else:
        # The renderer's own way to show an exception would show the values of its local variables.
        plain = structlog.dev.plain_traceback
        render = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)

    def render_clean(logger: WrappedLogger, method: str, event: EventDict) -> str:
        # Once more as text: a secret may be inside a message, a traceback, or the repr of an object.
        return redactor.clean_text(str(render(logger, method, event)), secrets_here())

    return ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.contextvars.merge_contextvars,
            _describe,
            structlog.processors.format_exc_info,
            hide_names,
            ProcessorFormatter.remove_processors_meta,
            render_clean,
        ],
    )


def _describe(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """When, how bad, by which logger and in which Celery task."""
    record: logging.LogRecord = event["_record"]
    # What Celery adds to its records: of it, arguments and results are not for the log.
    data = event.pop("data", None)
    told = data if isinstance(data, dict) and {"id", "name"} <= data.keys() else {}
    if data is not None and not told:
        event["data"] = data
    task = {"task_id": told.get("id"), "task_name": told.get("name"), "runtime": told.get("runtime")}
    head = {
        "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "event": event.pop("event", ""),
        "logger": record.name,
    }
    found = {**_task_here(), **{name: value for name, value in task.items() if value is not None}, **event}
    return {**head, **{name: found[name] for name in NAMES if name in found}, **found}


def _task_here() -> dict[str, Any]:
    """Of the Celery task that runs in this thread: its id and name, and, for one of the engine's, what it is about."""
    if not current_task:
        return {}
    request = current_task.request
    found = {"task_id": request.id, "task_name": getattr(request, "shadow", None) or current_task.name}
    args = list(request.args or ())
    match current_task.name:
        case "workflow_state.execute_plan":
            found["execution_id"] = request.id
        case "workflow_state.execute_action":
            found |= dict(zip(("execution_id", "action_id"), args, strict=False))
        case "workflow_state.execute_batch" | "workflow_state.advance" | "workflow_state.finish":
            found |= dict(zip(("execution_id",), args, strict=False))
    return found


def _to_json(event: EventDict, **options: Any) -> str:
    """One line of strict JSON, whatever was logged."""
    try:
        return json.dumps(event, allow_nan=False, **options)
    except (TypeError, ValueError, RecursionError):
        # The line matters more than the form of a value that is no JSON: keys that are no text, NaN, a loop.
        return json.dumps({str(name): _as_json(value, options) for name, value in event.items()})


def _as_json(value: Any, options: dict[str, Any]) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False, **options))
    except (TypeError, ValueError, RecursionError):
        return repr(value)

"""Logging by structlog, through the standard library's loggers, so Celery's set-up decides where it goes."""

from __future__ import annotations

import logging
from typing import Any

import structlog
from structlog.typing import EventDict

from workflow_state.redaction import DEFAULT, Redactor


def get_logger(redactor: Redactor = DEFAULT, /, **bound: Any) -> structlog.stdlib.BoundLogger:
    """The library's logger with values bound, such as execution, plan, action and attempt.

    What is logged under a name that ``redactor`` hides is not shown, at any depth.
    """

    def hide_secrets(_logger: object, _method: str, event: EventDict) -> EventDict:
        cleaned: EventDict = redactor.clean(event)
        return cleaned

    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger("workflow_state"),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.format_exc_info,
            hide_secrets,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger.bind(**bound)

"""The library's logger: structlog through the standard library's loggers, so the process decides where it goes."""

from __future__ import annotations

import logging
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, WrappedLogger

from workflow_state.redaction import DEFAULT, Redactor
from workflow_state.telemetry.binding import secrets_here
from workflow_state.telemetry.pipeline import is_configured

_as_text = structlog.processors.KeyValueRenderer(key_order=["event"])


def get_logger(redactor: Redactor = DEFAULT, /, **bound: Any) -> structlog.stdlib.BoundLogger:
    """The library's logger with values bound, such as execution, plan, action and attempt.

    What is logged under a name that ``redactor`` hides is not shown, at any depth, nor any secret of the attempt
    that runs. Where :func:`configure_logging` was not called, a line is ``event='...' name=value ...``.
    """

    def render(logger: WrappedLogger, method: str, event: EventDict) -> Any:
        cleaned: EventDict = redactor.clean(event, secrets_here())
        if is_configured():
            return ProcessorFormatter.wrap_for_formatter(logger, method, cleaned)
        return redactor.clean_text(_as_text(logger, method, cleaned), secrets_here())

    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger("workflow_state"),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger.bind(**bound)

"""``configure_logging``: what a process that logs calls once."""

from __future__ import annotations

from collections.abc import Iterable

from workflow_state.arguments import checked
from workflow_state.redaction import SECRET_NAMES
from workflow_state.settings import LogFormat
from workflow_state.telemetry.error_hook import ErrorHook, set_error_hook
from workflow_state.telemetry.pipeline import send_through_pipeline


@checked
def configure_logging(
    format: LogFormat = "json",
    level: int | str = "INFO",
    on_error: ErrorHook | None = None,
    *,
    file: str | None = None,
    secret_names: Iterable[str] = SECRET_NAMES,
) -> None:
    """Send every log line of this process through one pipeline, and errors of actions to a function.

    Lines of ``logging`` and of ``structlog.get_logger()`` that are written while an action runs carry
    ``execution_id``, ``plan_id``, ``action_id`` and ``attempt``; secrets are taken out of them. The root logger's
    handlers are replaced. A worker needs no call: ``log_format`` and ``on_error`` in ``app.conf.workflow_state`` do
    the same there, with the level and the file of Celery's own options.

    Args:
        format: ``json``, one object a line; ``console``, text for people, in colour on a terminal.
        level: of the root logger.
        on_error: called with the exception and an :class:`AttemptInfo` after every attempt that raised, in the
            process and thread that ran it; what it raises itself is logged.
        file: path to write to, opened again after a rotation; standard error when None.
        secret_names: names, in any spelling, of values that are not shown.

    Raises:
        ValueError: unknown format or level.

    Example:
        >>> configure_logging("console", on_error=lambda error, attempt: print(attempt.action_id, error))
    """
    send_through_pipeline(format, level, file=file, secret_names=secret_names)
    set_error_hook(on_error)

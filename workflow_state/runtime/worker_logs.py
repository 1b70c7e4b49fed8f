"""A worker's logging, as ``log_format`` and ``on_error`` in ``app.conf.workflow_state`` ask for it.

Without ``log_format`` Celery's own logging stays as it is: people have tools that read its lines, and a library that
is imported must not change them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery import Celery, bootsteps, signals
from celery.utils.log import get_multiprocessing_logger
from celery.utils.nodenames import node_format
from pydantic import ImportString, TypeAdapter, ValidationError

from workflow_state.errors import ConfigurationError
from workflow_state.settings import Settings
from workflow_state.telemetry import send_through_pipeline, set_error_hook


class ErrorHookStep(bootsteps.Step):  # type: ignore[misc] # Celery has no types
    """Sets the error hook before the pool is forked; a worker with one that cannot be imported does not start."""

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        hook = Settings.of(worker.app).on_error
        if hook is not None:
            set_error_hook(load_function("on_error", hook))


def load_function(setting: str, value: str | Callable[..., Any]) -> Callable[..., Any]:
    """The function that a setting gives, or names as ``package.module.function``.

    Raises:
        ConfigurationError: there is none of that name, or it is no function.
    """
    try:
        found: Any = TypeAdapter(ImportString[Any]).validate_python(value)
    except ValidationError as error:
        raise ConfigurationError(f"{setting} is {value!r}: {error.errors()[0]['msg']}") from error
    if not callable(found):
        raise ConfigurationError(f"{setting} is {value!r}, which is no function but {type(found).__name__}")
    function: Callable[..., Any] = found
    return function


def _take_over_logging(app: Celery, hostname: str) -> None:
    """Celery leaves all logging to who listens to its signal, so only who was asked to may."""
    settings = Settings.of(app)
    if settings.log_format is None:
        return
    log_format, names = settings.log_format, settings.secret_names
    # What Celery warns of before it sets logging up is a line like any other.
    send_through_pipeline(log_format, secret_names=names)
    logging.captureWarnings(True)

    @signals.setup_logging.connect(weak=False)
    def set_up(loglevel: int | str | None = None, logfile: str | None = None, **_: Any) -> None:
        file = node_format(logfile, hostname) if logfile else None
        handler = send_through_pipeline(log_format, loglevel or "INFO", file=file, secret_names=names)
        # The pool's own logger hands nothing on to the root logger.
        get_multiprocessing_logger().handlers[:] = [handler]
        if app.conf.worker_redirect_stdouts:
            app.log.redirect_stdouts(app.conf.worker_redirect_stdouts_level)


@signals.celeryd_init.connect(weak=False)
def _install_in_worker(sender: str = "", instance: Any = None, **_: Any) -> None:
    """In every worker of an app that imported the tasks."""
    instance.app.steps["worker"].add(ErrorHookStep)
    _take_over_logging(instance.app, sender)

"""What people look at while plans run: log lines, errors, and what they, metrics and spans are labelled with."""

from __future__ import annotations

from workflow_state.telemetry.attempt import AttemptInfo
from workflow_state.telemetry.binding import AttemptSecrets, attempt_bound
from workflow_state.telemetry.configure import configure_logging
from workflow_state.telemetry.error_hook import ErrorHook, report_error, set_error_hook
from workflow_state.telemetry.logs import get_logger
from workflow_state.telemetry.pipeline import send_through_pipeline

__all__ = [
    "AttemptInfo",
    "AttemptSecrets",
    "ErrorHook",
    "attempt_bound",
    "configure_logging",
    "get_logger",
    "report_error",
    "send_through_pipeline",
    "set_error_hook",
]

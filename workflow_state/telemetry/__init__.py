"""What people look at while plans run: log lines, and what they, metrics and spans are labelled with."""

from __future__ import annotations

from workflow_state.telemetry.attempt import AttemptInfo
from workflow_state.telemetry.logs import get_logger

__all__ = ["AttemptInfo", "get_logger"]

"""Error tracking: one function of the user's that is told of every attempt that raised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workflow_state.telemetry.attempt import AttemptInfo
from workflow_state.telemetry.logs import get_logger

#: Called with the exception and the attempt that raised it; what it returns is not used.
ErrorHook = Callable[[BaseException, AttemptInfo], Any]

_hooks: list[ErrorHook] = []
_log = get_logger()


def set_error_hook(hook: ErrorHook | None) -> None:
    """Have this function told of errors from now on, in this process and those it forks; None: nobody."""
    _hooks[:] = [hook] if hook else []


def report_error(error: BaseException, attempt: AttemptInfo) -> None:
    """Tell the hook, if there is one; an error of its own is logged, and is nobody's else."""
    for hook in _hooks:
        try:
            hook(error, attempt)
        except Exception:  # noqa: BLE001 - logged with its traceback; a tracker that is down must not stop the work
            _log.exception("error hook failed", hook=getattr(hook, "__qualname__", repr(hook)))

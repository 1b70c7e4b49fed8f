"""Exceptions → :class:`ErrorDetail`: what kind of error it was, and whether trying again makes sense."""

from __future__ import annotations

import traceback

from celery.exceptions import SoftTimeLimitExceeded
from pydantic import ValidationError

from workflow_state.errors import ActionError, InputTooLargeError, ReferenceNotFoundError, UnknownActionError
from workflow_state.models import ErrorCategory, ErrorDetail

#: How much of a traceback is kept with an attempt: its end says most.
TRACEBACK_LIMIT = 8_000
MESSAGE_LIMIT = 4_000


def describe_error(error: BaseException, timeout_ms: int | None = None) -> ErrorDetail:
    """The error as records keep it. ``timeout_ms``: the action's own, for the message of an overrun."""
    match error:
        case ActionError():
            return _from_action_error(error)
        case SoftTimeLimitExceeded():
            message = f"The attempt ran longer than its timeout of {timeout_ms} ms"
            return ErrorDetail(category=ErrorCategory.NETWORK_TIMEOUT, message=message)
        case ReferenceNotFoundError() | InputTooLargeError():
            return ErrorDetail(category=ErrorCategory.VALIDATION_FAILED, message=_shorten(str(error)), retryable=False)
        case UnknownActionError():
            return ErrorDetail(category=ErrorCategory.UNKNOWN_ACTION, message=_shorten(str(error)), retryable=False)
        case TimeoutError():
            return ErrorDetail(category=ErrorCategory.NETWORK_TIMEOUT, message=_named(error))
        case ConnectionError():
            return ErrorDetail(category=ErrorCategory.NETWORK_CONNECTION_REFUSED, message=_named(error))
    return ErrorDetail(category=ErrorCategory.ACTION_FAILED, message=_named(error))


def format_traceback(error: BaseException) -> str:
    """The traceback as text, its beginning cut when it is long."""
    text = "".join(traceback.format_exception(error))
    return text if len(text) <= TRACEBACK_LIMIT else "…" + text[-TRACEBACK_LIMIT:]


def _from_action_error(error: ActionError) -> ErrorDetail:
    try:
        category = ErrorCategory(error.category)
    except ValueError:
        category = ErrorCategory.ACTION_FAILED
    fields = {
        "category": category,
        "message": _shorten(error.message),
        "code": error.code,
        "status_code": error.status_code,
        "retryable": error.retryable,
        "retry_after": error.retry_after,
        "suggestion": error.suggestion,
    }
    try:
        return ErrorDetail.model_validate({**fields, "context": error.context})
    except ValidationError:
        # A context that is not JSON must not hide the error itself.
        return ErrorDetail.model_validate({**fields, "context": {"unreadable": _shorten(repr(error.context))}})


def _named(error: BaseException) -> str:
    return _shorten(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _shorten(text: str) -> str:
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"

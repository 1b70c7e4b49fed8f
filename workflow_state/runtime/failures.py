"""Exceptions → :class:`ErrorDetail`: what kind of error it was, and whether trying again makes sense."""

from __future__ import annotations

import traceback
from collections.abc import Collection

from celery.exceptions import SoftTimeLimitExceeded
from pydantic import ValidationError

from workflow_state.budget import Budget
from workflow_state.errors import ActionError, InputTooLargeError, ReferenceNotFoundError, UnknownActionError
from workflow_state.json_values import problem_in
from workflow_state.models import ErrorCategory, ErrorDetail
from workflow_state.redaction import DEFAULT, Redactor

#: How much of a traceback is kept with an attempt: its end says most.
TRACEBACK_LIMIT = 8_000
MESSAGE_LIMIT = 4_000
#: Characters of JSON of an error's context: a record is read often, and whole.
CONTEXT_LIMIT = 64_000


class _Shortener:
    """Cuts texts to :data:`MESSAGE_LIMIT`, without secrets: what is left of one that was cut is not found any more."""

    def __init__(self, redactor: Redactor, secrets: Collection[str]) -> None:
        self._redactor = redactor
        self._secrets = secrets

    def __call__(self, text: str) -> str:
        text = self._redactor.clean_text(text.encode(errors="replace").decode(), self._secrets)
        return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"


def describe_error(
    error: BaseException, timeout_ms: int | None = None, redactor: Redactor = DEFAULT, secrets: Collection[str] = ()
) -> ErrorDetail:
    """The error as records keep it.

    Args:
        error: what was raised.
        timeout_ms: the action's own, for the message of an overrun.
        redactor: what it hides by name is left out of the error's context.
        secrets: texts to take out wherever they are.
    """
    try:
        return redactor.clean_error(_describe(error, timeout_ms, redactor, _Shortener(redactor, secrets)), secrets)
    except Exception as problem:  # noqa: BLE001 - an error that cannot be read is still the attempt's error
        message = f"{type(error).__name__}, which cannot be shown ({type(problem).__name__})"
        return ErrorDetail(category=ErrorCategory.ACTION_FAILED, message=message)


def cut_error(error: ErrorDetail, redactor: Redactor, secrets: Collection[str]) -> ErrorDetail:
    """An error that came as one from elsewhere, as records keep it: cut as those that are raised here.

    Args:
        error: as it was told.
        redactor: what it hides by name is left out of the error's context.
        secrets: texts to take out wherever they are.
    """
    shorten = _Shortener(redactor, secrets)
    texts = {name: shorten(text) for name in ("message", "code", "suggestion") if (text := getattr(error, name))}
    context = redactor.clean(error.context, secrets)
    try:
        Budget(CONTEXT_LIMIT).spend(context)
    except InputTooLargeError:
        context = {"unreadable": shorten(repr(context))}
    return error.model_copy(update={**texts, "context": context})


def _describe(error: BaseException, timeout_ms: int | None, redactor: Redactor, shorten: _Shortener) -> ErrorDetail:
    match error:
        case ActionError():
            return _from_action_error(error, redactor, shorten)
        case SoftTimeLimitExceeded():
            limit = "the worker's time limit" if timeout_ms is None else f"its timeout of {timeout_ms} ms"
            message = f"The attempt ran longer than {limit}"
            return ErrorDetail(category=ErrorCategory.NETWORK_TIMEOUT, message=message)
        case ReferenceNotFoundError() | InputTooLargeError():
            return ErrorDetail(category=ErrorCategory.VALIDATION_FAILED, message=shorten(str(error)), retryable=False)
        case UnknownActionError():
            return ErrorDetail(category=ErrorCategory.UNKNOWN_ACTION, message=shorten(str(error)), retryable=False)
        case ValidationError():
            return ErrorDetail(category=ErrorCategory.ACTION_FAILED, message=shorten(_form_problems(error)))
        case TimeoutError():
            return ErrorDetail(category=ErrorCategory.NETWORK_TIMEOUT, message=shorten(_named(error)))
        case ConnectionError():
            return ErrorDetail(category=ErrorCategory.NETWORK_CONNECTION_REFUSED, message=shorten(_named(error)))
    return ErrorDetail(category=ErrorCategory.ACTION_FAILED, message=shorten(_named(error)))


def format_traceback(error: BaseException, redactor: Redactor = DEFAULT, secrets: Collection[str] = ()) -> str:
    """The traceback as text without these secrets, its beginning cut when it is long."""
    text = redactor.clean_text("".join(traceback.format_exception(error)), secrets)
    return text if len(text) <= TRACEBACK_LIMIT else "…" + text[-TRACEBACK_LIMIT:]


def _from_action_error(error: ActionError, redactor: Redactor, shorten: _Shortener) -> ErrorDetail:
    context = redactor.clean(error.context)
    try:
        category = ErrorCategory(error.category)
    except ValueError:
        category = ErrorCategory.ACTION_FAILED
        if isinstance(context, dict):
            context = {**context, "unknown_category": shorten(error.category)}
    message, retryable = shorten(str(error.message)), bool(error.retryable)
    fields = {
        "code": None if error.code is None else shorten(str(error.code)),
        "status_code": error.status_code,
        "retry_after": error.retry_after,
        "suggestion": shorten(error.suggestion) if isinstance(error.suggestion, str) else error.suggestion,
        "context": context,
    }
    known = {"category": category, "message": message, "retryable": retryable}
    try:
        found = ErrorDetail.model_validate({**known, **fields})
        Budget(CONTEXT_LIMIT).spend(found.context)
        if not problem_in(found.model_dump(mode="json")):
            return found
    except (ValidationError, InputTooLargeError):
        pass
    # A field of the wrong form or size must not hide the error itself.
    return ErrorDetail.model_validate({**known, "context": {"unreadable": shorten(repr(fields))}})


def _form_problems(error: ValidationError) -> str:
    """What pydantic says, without the values that it would show."""
    problems = [
        f"{'.'.join(map(str, problem['loc'])) or 'value'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return f"{type(error).__name__}: {error.title}: {'; '.join(problems)}"


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

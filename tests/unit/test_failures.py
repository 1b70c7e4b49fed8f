"""Exceptions → what is recorded of them: always something readable, whatever was raised."""

from __future__ import annotations

from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from workflow_state import ActionError, ErrorCategory, ErrorDetail
from workflow_state.runtime.failures import MESSAGE_LIMIT, TRACEBACK_LIMIT, describe_error, format_traceback


class Unshowable(Exception):
    """Cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class Forgetful(ActionError):
    """Does not call its base."""

    def __init__(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "category", "message"),
    [
        (ValueError("bad"), "action_failed", "ValueError: bad"),
        (ValueError(), "action_failed", "ValueError"),
        (TimeoutError("slow"), "network_timeout", "TimeoutError: slow"),
        (ConnectionRefusedError("no"), "network_connection_refused", "ConnectionRefusedError: no"),
        (SoftTimeLimitExceeded(), "network_timeout", "The attempt ran longer than its timeout of 250 ms"),
        (Unshowable(), "action_failed", "Unshowable, which cannot be shown (RuntimeError)"),
        (Forgetful(), "action_failed", "Forgetful, which cannot be shown (AttributeError)"),
        (ValueError("half \ud800"), "action_failed", "ValueError: half ?"),
        (SystemExit(3), "action_failed", "SystemExit: 3"),
        (ActionError("no", category="auth_expired"), "auth_expired", "no"),
        (ActionError("no", category="my own"), "action_failed", "no"),
        (ActionError(ValueError("inner")), "action_failed", "inner"),  # type: ignore[arg-type]
    ],
)
def test_any_exception_is_described(error: BaseException, category: str, message: str) -> None:
    """Each kind has its category and a message, and can be written as JSON."""
    found = describe_error(error, 250)
    assert (found.category, found.message) == (category, message)
    assert ErrorDetail.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    "fields",
    [
        {"status_code": "teapot"},
        {"retry_after": float("nan")},
        {"suggestion": 7},
        {"context": {"o": object()}},
        {"context": {"x": "\ud800"}},
        {"context": {"x": {"__type__": "uuid", "__value__": 1}}},
        {"context": {"x": float("inf")}},
    ],
)
def test_a_bad_field_does_not_hide_the_error(fields: dict[str, Any]) -> None:
    """A field that cannot be kept is told as unreadable; message, category and retryable stay."""
    found = describe_error(ActionError("broken", category="rate_limit_daily", retryable=False, **fields))
    assert (found.message, found.category, found.retryable) == ("broken", ErrorCategory.RATE_LIMIT_DAILY, False)
    assert next(iter(fields)) in str(found.context["unreadable"])
    assert ErrorDetail.model_validate_json(found.model_dump_json()) == found


def test_a_category_that_does_not_exist_is_told() -> None:
    """It counts as ``action_failed``; a misspelt one was lost in silence, and no retry policy named it."""
    found = describe_error(ActionError("broken", category="rate_limit_dayly", context={"tries": 3}))
    assert found.category == ErrorCategory.ACTION_FAILED
    assert found.context == {"tries": 3, "unknown_category": "rate_limit_dayly"}


@pytest.mark.parametrize("context", ["card 12", ["a"], 7, {("a", 1, 2)}])
def test_a_context_of_a_wrong_form_does_not_hide_the_error(context: Any) -> None:
    """To make the error raised one of its own, which took its place and was retried."""
    found = describe_error(ActionError("declined", category="validation_failed", retryable=False, context=context))
    assert (found.message, found.category, found.retryable) == ("declined", ErrorCategory.VALIDATION_FAILED, False)
    assert found.context == {"unreadable": repr(context)}


def test_a_code_may_be_a_number() -> None:
    """A service's error code that is a number is kept as text."""
    assert describe_error(ActionError("no", code=404)).code == "404"  # type: ignore[arg-type]


def test_messages_and_tracebacks_are_bounded() -> None:
    """However long an error is, what is kept of it is not; of a traceback it is the end."""
    error = ValueError("x" * 1_000_000)
    assert len(describe_error(error).message) == MESSAGE_LIMIT
    assert len(format_traceback(error)) == TRACEBACK_LIMIT + 1
    assert format_traceback(ValueError("the end")).endswith("ValueError: the end\n")

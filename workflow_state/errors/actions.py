"""Errors about actions: what their code raises, and what registering and failing ones show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workflow_state.errors.base import WorkflowStateError, short_repr


class ActionError(WorkflowStateError):
    """Raised by an action's code to say precisely what went wrong.

    Args:
        message: for people.
        category: one of :class:`workflow_state.models.ErrorCategory`, or its value. Another counts as
            ``action_failed``, and stands in the context as ``unknown_category``.
        code: the other side's own error code, if it has one.
        status_code: an HTTP status, if there was one.
        retryable: ``False`` ends the action at once, whatever attempts its policy has left.
        retry_after: seconds to wait at least before the next attempt.
        context: any JSON that helps to understand the error; it is stored with the state.
        suggestion: what a person can do about it.

    Example:
        >>> @action("payments.refund")
        ... def refund(amount: float) -> str:
        ...     if amount > 100:
        ...         raise ActionError("too much for one refund", category="validation_failed", retryable=False)
        ...     raise ActionError("busy", category="rate_limit_burst", status_code=429, retry_after=30)
    """

    message: str
    category: str
    context: dict[str, Any]

    def __init__(
        self,
        message: str,
        *,
        category: str = "action_failed",
        code: str | None = None,
        status_code: int | None = None,
        retryable: bool = True,
        retry_after: float | None = None,
        context: Mapping[str, Any] | None = None,
        suggestion: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.category = str(category)
        self.code = code
        self.status_code = status_code
        self.retryable = retryable
        self.retry_after = retry_after
        try:
            self.context = dict(context or {})
        except (TypeError, ValueError):
            # Of a wrong form it must not hide the error itself.
            self.context = {"unreadable": repr(context)}
        self.suggestion = suggestion


class ActionRegistrationError(WorkflowStateError, ValueError):
    """A function cannot be registered as an action.

    Example:
        >>> try:
        ...     @action("numbers.root")
        ...     def root(number, /):
        ...         return number**0.5
        ... except ActionRegistrationError as error:
        ...     print("inputs arrive as keyword arguments" in str(error))
        True
    """


class UnknownActionError(WorkflowStateError, LookupError):
    """No action is registered under that definition id; the message lists those that are.

    Example:
        >>> try:
        ...     registry.get("mail.sned")
        ... except UnknownActionError as error:
        ...     print("mail.send" in str(error))
        True
    """

    def __str__(self) -> str:
        return str(self.args[0])


class ActionFailedError(WorkflowStateError):
    """The final failure of one action, as its Celery task and ``AsyncResult`` show it.

    ``error`` is the :class:`~workflow_state.models.ErrorDetail` as a JSON dict.

    Example:
        >>> from celery.result import AsyncResult
        >>> try:
        ...     AsyncResult(action_task_id(state.id, "check"), app=app).get(timeout=10)
        ... except ActionFailedError as error:
        ...     print(error.action_id, error.error["category"])
        check validation_failed
    """

    message: str
    action_id: str
    error: dict[str, Any]

    def __init__(self, message: str, action_id: str = "", error: Mapping[str, Any] | None = None) -> None:
        self.message, self.action_id, self.error = message, action_id, dict(error or {})
        super().__init__(message, action_id, self.error)

    def __str__(self) -> str:
        return self.message

    __repr__ = short_repr

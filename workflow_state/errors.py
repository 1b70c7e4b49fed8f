"""The error tree: every error this library raises on purpose, in one place.

::

    WorkflowStateError
    ├── PlanValidationError        a plan is not valid; all its problems at once
    ├── ReferenceParseError        text between ${ and } is not a reference
    ├── ReferenceNotFoundError     a reference found nothing at run time
    ├── ConditionParseError        a text is not a condition
    ├── ConditionEvaluationError   a condition met values that it cannot compare
    ├── InputTooLargeError         references make an action's inputs larger than the limit
    ├── ActionError                raised by user code: how an action says what went wrong
    ├── ActionRegistrationError    a function cannot be an action, or its id is taken
    ├── UnknownActionError         no action of that definition id is registered
    ├── ActionFailedError          what a failed action's task shows in Celery and Flower
    ├── PlanExecutionError         what ``execute_plan``'s result raises for a failed plan
    ├── ExecutionNotFoundError     no such execution, or its records have expired
    ├── ActionNotFoundError        the execution has no such action
    ├── InvalidTransitionError     a state change that the rules do not allow
    ├── NewerSchemaError           compiled by a newer version than this worker runs
    ├── BackendNotSupportedError   the app's result backend is not Redis-compatible
    ├── ConfigurationError         a setting asks for something that is not there
    └── EmbeddedServerError        no Redis-compatible server was found or it did not start
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


class WorkflowStateError(Exception):
    """Base of all errors of this library.

    Example:
        >>> try:
        ...     manager.get_full_state("nobody")
        ... except WorkflowStateError as error:
        ...     print(type(error).__name__)
        ExecutionNotFoundError
    """


@dataclass(frozen=True, slots=True)
class PlanProblem:
    """One thing wrong with a plan.

    ``code`` is stable and made for programs, ``location`` a path into the plan such as
    ``actions[3].inputs.amount`` ("" is the plan itself), ``suggestion`` a repair or "". ``severity`` is
    ``error``, or ``warning`` for a plan that runs but may not mean what it says.

    Example:
        >>> cyclic = {"actions": [{"id": "a", "actionDefinitionId": "x", "dependencies": ["a"]}]}
        >>> find_plan_problems(validate_execution_plan(cyclic))[0].code
        'cycle'
    """

    code: str
    location: str
    message: str
    suggestion: str = ""
    severity: str = "error"

    def __str__(self) -> str:
        place = f"{self.location}: " if self.location else ""
        hint = f" ({self.suggestion})" if self.suggestion else ""
        return f"{place}{self.message}{hint} [{self.code}]"

    def to_dict(self) -> dict[str, str]:
        """The problem as JSON-ready dict."""
        # By hand: a plan may have thousands of problems, and ``dataclasses.asdict`` copies deeply.
        return {
            "code": self.code,
            "location": self.location,
            "message": self.message,
            "suggestion": self.suggestion,
            "severity": self.severity,
        }


class PlanValidationError(WorkflowStateError, ValueError):
    """A plan is not valid. ``errors`` lists every problem found, not only the first.

    Example:
        >>> try:
        ...     execute_plan.delay({"actions": []})
        ... except PlanValidationError as error:
        ...     print(error.errors[0].code, error.errors[0].location)
        no_actions actions
    """

    errors: tuple[PlanProblem, ...]
    #: How many problems the message spells out; ``errors`` always has them all.
    SHOWN: ClassVar[int] = 20

    def __init__(self, errors: Iterable[PlanProblem | Mapping[str, str]]) -> None:
        self.errors = tuple(e if isinstance(e, PlanProblem) else PlanProblem(**e) for e in errors)
        # Plain dicts as args: the error crosses process borders as JSON in a result backend.
        super().__init__([e.to_dict() for e in self.errors])

    def __str__(self) -> str:
        count = len(self.errors)
        head = "The plan has 1 problem:" if count == 1 else f"The plan has {count} problems:"
        lines = [f"  - {e}" for e in self.errors[: self.SHOWN]]
        if count > self.SHOWN:
            lines.append(f"  … and {count - self.SHOWN} more")
        return "\n".join([head, *lines])


class ReferenceParseError(WorkflowStateError, ValueError):
    """Text between ``${`` and ``}`` is not a reference; ``position`` is the offset in ``text``.

    Example:
        >>> try:
        ...     parse_reference("${fetch.result}")
        ... except ReferenceParseError as error:
        ...     print(error.position)
        2
    """

    text: str
    position: int

    def __init__(self, message: str, text: str = "", position: int = 0) -> None:
        self.text, self.position = text, position
        super().__init__(message, text, position)

    def __str__(self) -> str:
        return str(self.args[0])


class ReferenceNotFoundError(WorkflowStateError, LookupError):
    """A reference found nothing at run time; the message says what was there instead.

    Example:
        >>> try:
        ...     resolve_reference("${a.output.id}", {"a": Outcome(status="completed", output={"name": "Ada"})})
        ... except ReferenceNotFoundError as error:
        ...     print(error)
        Reference ${a.output.id} finds nothing: a.output is an object with the fields name
    """

    def __str__(self) -> str:
        return str(self.args[0])


class ConditionParseError(WorkflowStateError, ValueError):
    """A text is not a condition, or exceeds a limit; ``position`` is the offset in ``text``.

    Example:
        >>> try:
        ...     create_conditional_branch("a", "kind of", [{"value": 1, "action_ids": ["b"]}], [
        ...         {"id": "a", "actionDefinitionId": "x"}, {"id": "b", "actionDefinitionId": "x"}])
        ... except ConditionParseError as error:
        ...     print("not a condition")
        not a condition
    """

    text: str
    position: int

    def __init__(self, message: str, text: str = "", position: int = 0) -> None:
        self.text, self.position = text, position
        super().__init__(message, text, position)

    def __str__(self) -> str:
        return str(self.args[0])


class ConditionEvaluationError(WorkflowStateError, ValueError):
    """A condition met values that it cannot compare; the message shows them and their types.

    Example:
        >>> failed = run_plan({"actions": [
        ...     {"id": "a", "actionDefinitionId": "mail.send", "inputs": {"text": "x"}},
        ...     {"id": "b", "actionDefinitionId": "mail.send", "dependencies": ["a"],
        ...      "condition": {"if": "${a.output} < 1"}},
        ... ]}, {"mail.send": lambda text="": text})
        >>> print(failed.action_states["b"].error.message)
        Cannot evaluate '<': ${a.output} = "x" is a text and 1 is a number, but ...
    """


class InputTooLargeError(WorkflowStateError, ValueError):
    """The inputs of an action exceed the limit once their references are resolved."""


class ActionError(WorkflowStateError):
    """Raised by an action's code to say precisely what went wrong.

    Args:
        message: for people.
        category: one of :class:`workflow_state.models.ErrorCategory`, or its value.
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
        self.context = dict(context or {})
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


def _short_repr(error: Exception) -> str:
    """Without the structured arguments: logs and Flower show this."""
    return f"{type(error).__name__}({str(error)!r})"


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

    __repr__ = _short_repr


class PlanExecutionError(WorkflowStateError):
    """A plan ended ``failed`` or ``cancelled``; ``failed_actions`` maps action id to error message.

    Example:
        >>> try:
        ...     execute_plan.delay(plan_that_fails).get(timeout=30)
        ... except PlanExecutionError as error:
        ...     print(error.failed_actions)
        {'check': '1.1 is too high'}
    """

    message: str
    execution_id: str
    failed_actions: dict[str, str]

    def __init__(self, message: str, execution_id: str = "", failed_actions: Mapping[str, str] | None = None) -> None:
        self.message, self.execution_id = message, execution_id
        self.failed_actions = dict(failed_actions or {})
        super().__init__(message, execution_id, self.failed_actions)

    def __str__(self) -> str:
        return self.message

    __repr__ = _short_repr


class ExecutionNotFoundError(WorkflowStateError, LookupError):
    """No execution of that id is stored: it never was, or its records have expired.

    Example:
        >>> try:
        ...     manager.get_full_state("nobody")
        ... except ExecutionNotFoundError as error:
        ...     print(error.execution_id)
        nobody
    """

    execution_id: str

    def __init__(self, execution_id: str) -> None:
        self.execution_id = execution_id
        super().__init__(execution_id)

    def __str__(self) -> str:
        return (
            f"No execution {self.execution_id!r} is stored in this result backend: it was never accepted, "
            "its records have expired, or this app reads another backend or key prefix than its workers."
        )


class ActionNotFoundError(WorkflowStateError, LookupError):
    """The execution's plan has no action of that id.

    Example:
        >>> try:
        ...     manager.get_action_result(state.id, "pubilsh")
        ... except ActionNotFoundError as error:
        ...     print(error.known)
        ('fetch', 'check', 'alarm', 'publish')
    """

    execution_id: str
    action_id: str
    known: tuple[str, ...]

    def __init__(self, execution_id: str, action_id: str, known: Iterable[str] = ()) -> None:
        self.execution_id, self.action_id, self.known = execution_id, action_id, tuple(known)
        super().__init__(execution_id, action_id, self.known)

    def __str__(self) -> str:
        names = ", ".join(repr(name) for name in self.known[:10])
        return f"Execution {self.execution_id!r} has no action {self.action_id!r}; its actions are: {names}"


class InvalidTransitionError(WorkflowStateError):
    """A change of state that the rules do not allow; nothing was changed.

    Example:
        >>> try:
        ...     manager.confirm_action(state.id, "publish", False)
        ... except InvalidTransitionError:
        ...     print("it was answered")
        it was answered
    """


class NewerSchemaError(WorkflowStateError):
    """An execution was compiled by a newer version of the library; a newer worker will run it.

    Example:
        In a rolling deploy an older worker that meets a newer plan leaves it to a newer worker:

        >>> newer = compile_plan(plan).model_copy(update={"schema_version": 99}).to_json()
        >>> try:
        ...     type(compile_plan(plan)).from_json(newer)
        ... except NewerSchemaError:
        ...     print("for a newer worker")
        for a newer worker
    """


class BackendNotSupportedError(WorkflowStateError):
    """The app's result backend is not Redis or Valkey, which the engine needs.

    Example:
        >>> from celery import Celery
        >>> other = Celery("other", backend="cache+memory://", set_as_current=False)
        >>> try:
        ...     StateManager(other)
        ... except BackendNotSupportedError:
        ...     print("results have to be in Redis or Valkey")
        results have to be in Redis or Valkey
    """


class ConfigurationError(WorkflowStateError, ValueError):
    """A setting asks for something that is not there: a function, an optional package.

    Example:
        A worker refuses to start with it, such as for ``{"on_error": "shop.no_such_function"}``:

        >>> issubclass(ConfigurationError, ValueError)
        True
    """


class EmbeddedServerError(WorkflowStateError):
    """No Redis-compatible server could be found, or it did not start.

    Example:
        >>> from workflow_state.embedded import EmbeddedServer
        >>> try:
        ...     EmbeddedServer(settings={"no-such-setting": "1"}).start()
        ... except EmbeddedServerError:
        ...     print("the server did not start")
        the server did not start
    """

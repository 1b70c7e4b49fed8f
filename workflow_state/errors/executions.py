"""Errors about executions, and about what they run on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from workflow_state.errors.base import WorkflowStateError, short_repr


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

    __repr__ = short_repr


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
    """An execution was compiled by a newer version of the library, which a newer worker will run, or has records
    that only a newer version can read.

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

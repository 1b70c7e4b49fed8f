"""What happens to executions and their actions, as typed events: the history, watchers and listeners get these.

An event's ``type`` is also its routing key on the exchange. ``sequence`` counts from 1 in each execution, without
a gap, so that a listener can drop repeats (``id`` is the same in every copy) and see what it has missed.
Inputs and outputs are in none of them, but for the request of a remote action, which cannot do without.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue, TypeAdapter

from workflow_state.models import ErrorCategory, ErrorDetail, Milliseconds, Model

#: Raised whenever a listener written for an older version could misread an event.
EVENT_SCHEMA_VERSION = 1


class EventError(Model):
    """What went wrong, in short; the state has all of it.

    Example:
        >>> error = seen["action.execute.failed"].error
        >>> error.category.value, error.message, error.retryable
        ('validation_failed', '1.1 is too high', False)
    """

    category: ErrorCategory
    message: str
    retryable: bool = True


class EventBase(Model):
    """What every event has. ``time``: by the server's clock."""

    id: str
    sequence: int = Field(ge=1)
    time: datetime
    execution_id: str
    plan_id: str
    schema_version: int = EVENT_SCHEMA_VERSION


class PlanStarted(EventBase):
    """The execution was started.

    Example:
        >>> event = seen["plan.execution.started"]
        >>> event.plan_name, event.total_actions, event.sequence
        ('nightly', 4, 1)
    """

    type: Literal["plan.execution.started"] = "plan.execution.started"
    plan_name: str = ""
    total_actions: int = 0


class PlanPaused(EventBase):
    """Somebody paused the execution: nothing new starts.

    Example:
        >>> isinstance(seen["plan.execution.paused"], PlanPaused)
        True
    """

    type: Literal["plan.execution.paused"] = "plan.execution.paused"


class PlanResumed(EventBase):
    """Somebody let a paused execution go on.

    Example:
        >>> seen["plan.execution.resumed"].sequence > seen["plan.execution.paused"].sequence
        True
    """

    type: Literal["plan.execution.resumed"] = "plan.execution.resumed"


class PlanCancelling(EventBase):
    """The execution was cancelled: nothing new starts, what runs may end.

    Example:
        >>> seen["plan.execution.cancelling"].reason
        'no longer needed'
    """

    type: Literal["plan.execution.cancelling"] = "plan.execution.cancelling"
    reason: str = ""


class PlanCompleted(EventBase):
    """The execution has ended ``completed``.

    Example:
        >>> seen["plan.execution.completed"].execution_id == state.id
        True
    """

    type: Literal["plan.execution.completed"] = "plan.execution.completed"


class PlanFailed(EventBase):
    """The execution has ended ``failed``.

    Example:
        >>> seen["plan.execution.failed"].error.message
        "Action 'check' failed: 1.1 is too high"
    """

    type: Literal["plan.execution.failed"] = "plan.execution.failed"
    error: EventError | None = None


class PlanCancelled(EventBase):
    """The execution has ended ``cancelled``.

    Example:
        >>> seen["plan.execution.cancelled"].error.message
        'no longer needed'
    """

    type: Literal["plan.execution.cancelled"] = "plan.execution.cancelled"
    error: EventError | None = None


class ActionEvent(EventBase):
    """Base of what happens to one action."""

    action_id: str


class ActionRequested(ActionEvent):
    """An attempt of an action has started; for a remote one, its service is asked to carry it out.

    ``inputs`` (references resolved) is given for remote actions alone; ``timeout``: milliseconds from ``time``
    until the attempt fails without an answer. An answer repeats ``execution_id``, ``action_id`` and ``attempt``.

    Example:
        >>> event = seen["action.execute.requested"]
        >>> event.action_id, event.action_definition_id, event.attempt, event.remote
        ('fetch', 'rates.fetch', 1, False)
    """

    type: Literal["action.execute.requested"] = "action.execute.requested"
    action_definition_id: str = ""
    attempt: int = 1
    remote: bool = False
    idempotency_key: str = ""
    inputs: dict[str, JsonValue] | None = None
    timeout: Milliseconds | None = None


class ActionCompleted(ActionEvent):
    """An action has completed, by its ``attempt``; 0: without one, by its fallback value or a rerun.

    Example:
        >>> event = seen["action.execute.completed"]
        >>> event.action_id, event.attempt
        ('fetch', 2)
    """

    type: Literal["action.execute.completed"] = "action.execute.completed"
    attempt: int = 0


class ActionFailed(ActionEvent):
    """An action has failed for good.

    Example:
        >>> event = seen["action.execute.failed"]
        >>> event.action_id, event.error.message
        ('check', '1.1 is too high')
    """

    type: Literal["action.execute.failed"] = "action.execute.failed"
    attempt: int = 0
    error: EventError | None = None


class ActionRetrying(ActionEvent):
    """An attempt has failed, and another follows after ``delay`` milliseconds.

    Example:
        >>> event = seen["action.retrying"]
        >>> event.action_id, event.attempt, event.delay, event.error.message
        ('fetch', 1, 100, 'the service is busy')
    """

    type: Literal["action.retrying"] = "action.retrying"
    attempt: int = 1
    delay: Milliseconds = 0
    error: EventError | None = None


class ActionLost(ActionEvent):
    """An attempt has ended with its worker; another takes its place.

    Example:
        >>> event = seen["action.lost"]
        >>> event.action_id, event.attempt
        ('fragile', 1)
    """

    type: Literal["action.lost"] = "action.lost"
    attempt: int = 1


class ActionSkipped(ActionEvent):
    """An action will not run.

    Example:
        >>> event = seen["action.skipped"]
        >>> event.action_id, event.reason.startswith("condition not met")
        ('alarm', True)
    """

    type: Literal["action.skipped"] = "action.skipped"
    reason: str = ""


class ConfirmationRequested(ActionEvent):
    """An action waits for a person. ``timeout``: milliseconds from ``time`` until no answer rejects; none: for ever.

    Example:
        >>> event = seen["user.confirmation.requested"]
        >>> event.action_id, event.title, event.timeout
        ('publish', 'Publish?', None)
    """

    type: Literal["user.confirmation.requested"] = "user.confirmation.requested"
    title: str = ""
    message: str = ""
    timeout: Milliseconds | None = None


class ConfirmationReceived(ActionEvent):
    """A confirmation was answered; ``user_id`` "": not said, or nobody did in time.

    Example:
        >>> event = seen["user.confirmation.received"]
        >>> event.confirmed, event.user_id
        (True, 'ada')
    """

    type: Literal["user.confirmation.received"] = "user.confirmation.received"
    confirmed: bool
    user_id: str = ""


Event = Annotated[
    PlanStarted
    | PlanPaused
    | PlanResumed
    | PlanCancelling
    | PlanCompleted
    | PlanFailed
    | PlanCancelled
    | ActionRequested
    | ActionCompleted
    | ActionFailed
    | ActionRetrying
    | ActionLost
    | ActionSkipped
    | ConfirmationRequested
    | ConfirmationReceived,
    Field(discriminator="type"),
]
#: Reads and writes any event; ``EVENT.json_schema()`` is the JSON Schema of them all.
EVENT: TypeAdapter[Event] = TypeAdapter(Event)
#: After one of these nothing happens to an execution any more.
LAST = frozenset({"plan.execution.completed", "plan.execution.failed", "plan.execution.cancelled"})


class AnswerBase(Model):
    """What a remote service says of an action that it was asked for; ids and ``attempt`` as in the request.

    ``attempt`` None means whichever is waited for.
    """

    execution_id: str
    action_id: str
    attempt: int | None = None


class CompletedAnswer(AnswerBase):
    """The service has done it.

    Example:
        >>> counting = manager.initialize_state({"actions": [
        ...     {"id": "count", "actionDefinitionId": "stock.count", "inputs": {"article": "card"}},
        ... ]})
        >>> asked = next(e for e in manager.watch(counting.id) if e.type == "action.execute.requested")
        >>> publish_answer(app, CompletedAnswer(
        ...     execution_id=asked.execution_id, action_id=asked.action_id, attempt=asked.attempt, output=3))
        >>> manager.wait(counting.id, timeout=30).action_states["count"].result.output
        3
    """

    type: Literal["action.execute.completed"] = "action.execute.completed"
    output: JsonValue = None


class FailedAnswer(AnswerBase):
    """The service could not do it; ``error`` and the action's retry policy decide whether it is asked again.

    Example:
        >>> answer = FailedAnswer(
        ...     execution_id=state.id, action_id="count", attempt=1,
        ...     error=ErrorDetail(category="auth_expired", message="log in again", retryable=False))
        >>> answer.error.message
        'log in again'
    """

    type: Literal["action.execute.failed"] = "action.execute.failed"
    error: ErrorDetail


Answer = Annotated[CompletedAnswer | FailedAnswer, Field(discriminator="type")]
#: Reads and writes any answer.
ANSWER: TypeAdapter[Answer] = TypeAdapter(Answer)

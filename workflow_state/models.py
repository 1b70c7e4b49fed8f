"""The nouns: plan, action, state. Frozen, validated, JSON in and out.

Every model reads camelCase (the original package's JSON) and snake_case alike, and writes
snake_case unless asked for ``by_alias=True``. Times are timezone-aware; durations and timeouts are
milliseconds, as the original has them. An unknown field is an error, never silently dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, JsonValue, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

from workflow_state import display

#: An action's id: letters, digits and ``_ - . :``, starting with a letter, digit or ``_``.
ID_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.:\-]*$"
ActionId = Annotated[str, StringConstraints(pattern=ID_PATTERN, max_length=200)]
#: A thousand years: what is longer is a mistake, and the arithmetic of delays stays far from any overflow.
MAX_MILLISECONDS = 1000 * 365 * 24 * 3600 * 1000
Milliseconds = Annotated[int, Field(ge=0, le=MAX_MILLISECONDS)]
BatchSize = Annotated[int, Field(ge=1, le=1000)]


T = TypeVar("T")


class _KeptAsTuple:
    """Makes pydantic read and keep a sequence as a tuple, which nobody can change."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        (item,) = get_args(source)
        return core_schema.tuple_schema([handler.generate_schema(item)], variadic_item_index=0)


#: A tuple of items, that a type checker lets be given as a list.
Items = Annotated[Sequence[T], _KeptAsTuple()]


class Model(BaseModel):
    """Base of all models: frozen, camelCase aliases, unknown fields refused."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        # NaN and infinity are not JSON: written out, they would silently become null.
        allow_inf_nan=False,
    )


class ExecutionStatus(StrEnum):
    """Where an execution stands.

    Example:
        >>> state.status is ExecutionStatus.COMPLETED, state.status == "completed", state.status.ended
        (True, True, True)
    """

    INITIALIZING = "initializing"
    RUNNING = "running"
    PAUSED_FOR_CONFIRMATION = "paused_for_confirmation"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing can change any more."""
        return self in (ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED)


class ActionStatus(StrEnum):
    """Where one action stands.

    Example:
        >>> [name for name, found in state.action_states.items() if found.status is ActionStatus.SKIPPED]
        ['alarm']
    """

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def ended(self) -> bool:
        """Whether nothing can change any more."""
        return self in (ActionStatus.COMPLETED, ActionStatus.FAILED, ActionStatus.SKIPPED)


class ErrorCategory(StrEnum):
    """What kind of error ended an attempt: the original's twelve and those the engine needs besides.

    Example:
        >>> state.action_states["check"].error.category is ErrorCategory.VALIDATION_FAILED
        True
    """

    AUTH_EXPIRED = "auth_expired"
    AUTH_INVALID = "auth_invalid"
    RATE_LIMIT_DAILY = "rate_limit_daily"
    RATE_LIMIT_BURST = "rate_limit_burst"
    NETWORK_TIMEOUT = "network_timeout"
    NETWORK_CONNECTION_REFUSED = "network_connection_refused"
    API_RESPONSE_MALFORMED = "api_response_malformed"
    API_ENDPOINT_REMOVED = "api_endpoint_removed"
    API_UNEXPECTED_STATUS = "api_unexpected_status"
    VALIDATION_FAILED = "validation_failed"
    STATE_INCONSISTENT = "state_inconsistent"
    USER_CANCELLED = "user_cancelled"
    ACTION_FAILED = "action_failed"
    UNKNOWN_ACTION = "unknown_action"
    CONDITION_NOT_MET = "condition_not_met"
    OUTCOME_NOT_MET = "outcome_not_met"
    WORKER_LOST = "worker_lost"


class Intent(Model):
    """What the person who asked for the plan wanted.

    Example:
        >>> Intent(original="rates every night", interpreted="fetch and publish rates", confidence=0.9).confidence
        0.9
    """

    original: str
    interpreted: str = ""
    confidence: float = Field(default=1.0, ge=0, le=1)


class OutcomeValidation(Model):
    """One check of the expected outcome: ``reference`` compared with ``value`` by ``operator``.

    Example:
        >>> OutcomeValidation(name="paid", reference="${charge.output.id}", operator="matches", value="^ch_").operator
        'matches'
    """

    name: str
    reference: str
    operator: Literal["exists", "equals", "contains", "matches"] = "exists"
    value: JsonValue = None


class ExpectedOutcome(Model):
    """What must hold after the last action; a check that fails makes the execution ``failed``.

    Example:
        >>> ExpectedOutcome(
        ...     description="somebody was told",
        ...     validations=[OutcomeValidation(name="sent", reference="${publish.output}", operator="exists")],
        ... ).validations[0].name
        'sent'
    """

    description: str = ""
    # Bounded, because a pattern from outside may take tens of milliseconds to compile.
    validations: Annotated[Items[OutcomeValidation], Field(max_length=100)] = ()


class PlanMetadata(Model):
    """Who made the plan, when, and how long it should take (``estimated_duration``: milliseconds).

    Example:
        >>> PlanMetadata(created_by="ada", estimated_duration=60_000, tags=["nightly"]).tags
        ('nightly',)
    """

    created_at: datetime | None = None
    created_by: str | None = None
    estimated_duration: Milliseconds | None = None
    tags: Items[str] = ()


class Condition(Model):
    """Run the action only when ``if`` holds; otherwise skip it (default) or fail it.

    Example:
        >>> Condition(if_="${check.output.kind} == 'premium'", else_="fail").model_dump(by_alias=True)
        {'if': "${check.output.kind} == 'premium'", 'then': 'execute', 'else': 'fail'}
    """

    # As `alias`, a type checker would take them for the names of arguments, which no call can spell.
    if_: str = Field(validation_alias="if", serialization_alias="if", min_length=1)
    then: Literal["execute"] = "execute"
    else_: Literal["skip", "fail"] = Field(default="skip", validation_alias="else", serialization_alias="else")


class ErrorHandling(Model):
    """What follows an action's final failure. ``fallback_value`` counts when it is given, null included.

    Example:
        >>> ErrorHandling(fallback_value=None).has_fallback, ErrorHandling(continue_on_failure=True).has_fallback
        (True, False)
    """

    continue_on_failure: bool = False
    fallback_value: JsonValue = None
    alternative_action_id: str | None = None

    @property
    def has_fallback(self) -> bool:
        """Whether a fallback value was given (null is a value)."""
        return "fallback_value" in self.model_fields_set


class UserConfirmation(Model):
    """A person must agree before the action runs. ``timeout``: milliseconds; none: waits for ever.

    Example:
        >>> UserConfirmation(title="Pay 765 EUR?", timeout=24 * 3600 * 1000).required
        True
    """

    required: bool = True
    title: str = ""
    message: str = ""
    timeout: Milliseconds | None = None


class RetryPolicy(Model):
    """When a failed attempt is tried again: ``min × factorⁿ`` up to ``max``, jittered when ``randomize``.

    ``categories``: only errors of these are retried; none given: every retryable error is.

    Example:
        >>> RetryPolicy(max_attempts=5, categories=["rate_limit_burst", "network_timeout"]).categories[0].value
        'rate_limit_burst'
    """

    max_attempts: int = Field(default=3, ge=1, le=1000)
    factor: float = Field(default=2.0, ge=1, le=1000)
    min_timeout_in_ms: Milliseconds = 1000
    max_timeout_in_ms: Milliseconds = 30_000
    randomize: bool = True
    categories: Items[ErrorCategory] | None = None


class PlannedAction(Model):
    """One node of the plan. ``timeout``: milliseconds per attempt; ``priority``: 0 to 9, as the broker reads it.

    ``batch_size``: as in the plan, for this action.

    Example:
        >>> PlannedAction(
        ...     id="charge",
        ...     action_definition_id="payments.charge",
        ...     dependencies=["price"],
        ...     inputs={"amount": "${price.output}"},
        ...     timeout=10_000,
        ...     queue="payments",
        ... ).model_dump(by_alias=True, include={"action_definition_id", "timeout"})
        {'actionDefinitionId': 'payments.charge', 'timeout': 10000}
    """

    id: ActionId
    action_definition_id: str = Field(min_length=1, max_length=300)
    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    dependencies: Items[str] = ()
    condition: Condition | None = None
    error_handling: ErrorHandling | None = None
    user_confirmation: UserConfirmation | None = None
    retry: RetryPolicy | None = None
    timeout: Annotated[int, Field(gt=0, le=MAX_MILLISECONDS)] | None = None
    queue: str | None = Field(default=None, min_length=1, max_length=200)
    priority: int | None = Field(default=None, ge=0, le=9)
    batch_size: BatchSize | None = None


class ExecutionPlan(Model):
    """A DAG of actions. Only ``actions`` is required; the order of the list has no meaning.

    ``schedule``: actions start when the level before theirs has ended (``levels``), or when their own dependencies
    have (``dataflow``); None: as the app's settings say. ``batch_size``: how many ready actions of one definition
    and queue one message names at most, for actions so tiny that their transport costs more than they do; None: one.
    One with a ``timeout`` always has a message of its own.

    Example:
        >>> plan = ExecutionPlan(
        ...     name="two mails",
        ...     actions=[
        ...         PlannedAction(id="first", action_definition_id="mail.send", inputs={"text": "one"}),
        ...         PlannedAction(id="second", action_definition_id="mail.send", dependencies=["first"],
        ...                       inputs={"text": "after ${first.output}"}),
        ...     ],
        ... )
        >>> plan.model_dump(by_alias=True, exclude_defaults=True)["actions"][1]["dependencies"]
        ('first',)
    """

    id: str = Field(default="plan", min_length=1, max_length=200)
    name: str = Field(default="", max_length=200)
    description: str = ""
    intent: Intent | None = None
    actions: Annotated[Items[PlannedAction], Field(min_length=1)]
    expected_outcome: ExpectedOutcome | None = None
    schedule: Literal["levels", "dataflow"] | None = None
    batch_size: BatchSize | None = None
    metadata: PlanMetadata = PlanMetadata()

    @property
    def title(self) -> str:
        """What people are shown, which is ``name``, or else ``id``."""
        return self.name or self.id


class ErrorDetail(Model):
    """What went wrong, for people and programs. ``retry_after``: seconds.

    Example:
        >>> error = state.action_states["check"].error
        >>> error.category.value, error.message, error.retryable, error.suggestion
        ('validation_failed', '1.1 is too high', False, 'ask the bank')
    """

    category: ErrorCategory
    message: str
    code: str | None = None
    status_code: int | None = None
    retryable: bool = True
    retry_after: float | None = None
    context: dict[str, JsonValue] = Field(default_factory=dict)
    suggestion: str | None = None


class Success(Model):
    """The action has an output.

    Example:
        >>> match manager.get_action_result(state.id, "publish"):
        ...     case Success(output=output):
        ...         print(output)
        sent: USD 1.1
    """

    status: Literal["success"] = "success"
    output: JsonValue = None


class Failure(Model):
    """The action failed for good.

    Example:
        >>> match manager.get_action_result(state.id, "check"):
        ...     case Failure(error=error):
        ...         print(error.message)
        1.1 is too high
    """

    status: Literal["failure"] = "failure"
    error: ErrorDetail
    partial_output: JsonValue = None


class Skipped(Model):
    """The action did not run.

    Example:
        >>> match manager.get_action_result(state.id, "alarm"):
        ...     case Skipped(reason=reason):
        ...         print(reason)
        condition not met: ${fetch.output.USD} < 1 is false (${fetch.output.USD} = 1.1)
    """

    status: Literal["skipped"] = "skipped"
    reason: str


ActionResult = Annotated[Success | Failure | Skipped, Field(discriminator="status")]


class Attempt(Model):
    """One try of an action: when, how long (milliseconds), on which worker, and how it ended.

    Example:
        >>> [(attempt.number, attempt.outcome) for attempt in state.action_states["fetch"].trace]
        [(1, 'failed'), (2, 'completed')]
    """

    number: int
    started_at: datetime
    completed_at: datetime | None = None
    duration: Milliseconds | None = None
    worker: str = ""
    outcome: Literal["running", "completed", "failed", "lost"]
    error: ErrorDetail | None = None


class Progress(Model):
    """How far an attempt has come, as it last said itself: ``fraction`` from 0 to 1, and a line on what it is at.

    Example:
        >>> progress = state.action_states["fetch"].progress
        >>> progress.fraction, progress.message
        (0.5, 'half of the rates')
    """

    fraction: float
    message: str = ""
    attempt: int = 1
    at: datetime


class ActionExecutionState(Model):
    """One action of an execution. ``duration`` (ms) runs from first start to end, waits between attempts included.

    ``error`` stays visible when a fallback value made a failed action ``completed``.

    Example:
        >>> fetched = state.action_states["fetch"]
        >>> fetched.attempts, fetched.result.output["USD"], fetched.trace[0].error.message
        (2, 1.1, 'the service is busy')
    """

    action_id: str
    status: ActionStatus
    started_at: datetime | None = None
    completed_at: datetime | None = None
    duration: Milliseconds | None = None
    attempts: int = 0
    result: ActionResult | None = None
    error: ErrorDetail | None = None
    trace: tuple[Attempt, ...] = ()
    progress: Progress | None = None


class ConfirmationState(Model):
    """A confirmation that was asked for, and its answer if there is one yet."""

    action_id: str
    requested_at: datetime
    responded_at: datetime | None = None
    confirmed: bool | None = None
    user_id: str | None = None


class ExecutionMetrics(Model):
    """Counts of actions by how they stand, and the run's duration in milliseconds.

    Example:
        >>> state.metrics.total_actions, state.metrics.failed_actions, state.metrics.skipped_actions
        (4, 1, 1)
    """

    total_actions: int = 0
    completed_actions: int = 0
    failed_actions: int = 0
    skipped_actions: int = 0
    total_duration: Milliseconds = 0


class ExecutionState(Model):
    """Everything known of one execution; ``version`` grows with every change of it.

    ``paused``: somebody paused it, so that nothing new starts until it is resumed.

    Example:
        >>> state.status.value, state.metrics.completed_actions, state.confirmations[0].user_id
        ('completed', 2, 'ada')
        >>> {name: found.status.value for name, found in state.action_states.items()}
        {'fetch': 'completed', 'check': 'failed', 'alarm': 'skipped', 'publish': 'completed'}
    """

    id: str
    plan_id: str
    status: ExecutionStatus
    started_at: datetime | None = None
    completed_at: datetime | None = None
    action_states: dict[str, ActionExecutionState] = Field(default_factory=dict)
    confirmations: tuple[ConfirmationState, ...] = ()
    error: ErrorDetail | None = None
    rerun_of: str | None = None
    paused: bool = False
    metrics: ExecutionMetrics = ExecutionMetrics()
    version: int = 0

    def to_json_dict(self) -> dict[str, Any]:
        """The state as JSON-ready dict, as ``AsyncResult.get()`` has it on the wire."""
        return self.model_dump(mode="json")

    def to_html(self) -> str:
        """The state as one HTML file that needs no other: what failed, a timeline, and every action's results.

        Secrets are taken out by name. With the plan, :func:`workflow_state.execution_report` shows its graph, its
        inputs and the critical path too.
        """
        return display.page(self)

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        return display.snippet(self)


class ExecutionSummary(Model):
    """One execution in a list. ``created_at``: when it was accepted; ``name``: the plan's, or else its id.

    ``completed_actions`` is None until the execution has ended.

    Example:
        >>> summary = manager.list_executions(name="nightly", status="completed").items[0]
        >>> summary.status.value, summary.total_actions, summary.failed_actions
        ('completed', 4, 1)
    """

    id: str
    plan_id: str
    name: str
    status: ExecutionStatus
    paused: bool = False
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    total_actions: int = 0
    completed_actions: int | None = None
    failed_actions: int = 0
    skipped_actions: int = 0
    rerun_of: str | None = None


class ExecutionPage(Model):
    """A page of a list of executions; ``cursor``: what gives the next page, None when this is the last.

    Example:
        >>> page = manager.list_executions(limit=1)
        >>> older = manager.list_executions(limit=1, cursor=page.cursor)
        >>> older.items[0].created_at < page.items[0].created_at
        True
    """

    items: tuple[ExecutionSummary, ...] = ()
    cursor: str | None = None

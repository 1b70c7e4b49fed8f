"""The plan: a DAG of actions, and what it says of each."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from workflow_state.models.base import MAX_MILLISECONDS, ActionId, BatchSize, Items, JsonObject, Milliseconds, Model
from workflow_state.models.enums import ErrorCategory


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
    inputs: JsonObject = Field(default_factory=dict)
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

"""The nouns: what they read, what they write, and what they refuse."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from workflow_state import (
    ActionStatus,
    ErrorCategory,
    ErrorDetail,
    ErrorHandling,
    ExecutionPlan,
    ExecutionState,
    ExecutionStatus,
    Failure,
    PlannedAction,
    RetryPolicy,
    Skipped,
    Success,
    UserConfirmation,
)
from workflow_state.models import ActionExecutionState, Model

#: A plan of the original package, in full, as it documents it.
ORIGINAL = {
    "id": "plan-1",
    "name": "Checkout",
    "description": "Charge and ship",
    "intent": {"original": "buy", "interpreted": "charge the card, then ship", "confidence": 0.9},
    "actions": [
        {
            "id": "charge",
            "actionDefinitionId": "payments.charge",
            "inputs": {"amount": 10, "card": {"number": "${vault.output.number}"}},
            "dependencies": ["vault"],
            "condition": {"if": "${vault.status} == 'completed'", "then": "execute", "else": "fail"},
            "errorHandling": {"continueOnFailure": True, "fallbackValue": None, "alternativeActionId": "cash"},
            "userConfirmation": {"required": True, "title": "Pay?", "message": "10 €", "timeout": 60000},
        }
    ],
    "expectedOutcome": {
        "description": "paid",
        "validations": [{"name": "paid", "reference": "${charge.output.ok}", "operator": "equals", "value": True}],
    },
    "metadata": {
        "createdAt": "2024-05-01T12:00:00Z",
        "createdBy": "ada",
        "estimatedDuration": 1500,
        "tags": ["shop"],
    },
}


def snake(value: Any) -> Any:
    """The same JSON with snake_case field names; the keys of ``inputs`` are the user's own."""
    if isinstance(value, dict):
        return {
            "".join(f"_{c.lower()}" if c.isupper() else c for c in key): item if key == "inputs" else snake(item)
            for key, item in value.items()
        }
    return [snake(item) for item in value] if isinstance(value, list) else value


def test_the_original_form_and_snake_case_read_alike() -> None:
    """A plan written for the original loads unchanged; snake_case gives the very same plan."""
    assert ExecutionPlan.model_validate(ORIGINAL) == ExecutionPlan.model_validate(snake(ORIGINAL))


def test_both_forms_can_be_written() -> None:
    """``by_alias`` writes the original's JSON, without it snake_case; both read back as the same plan."""
    plan = ExecutionPlan.model_validate(ORIGINAL)
    assert json.loads(plan.model_dump_json(by_alias=True, exclude_unset=True)) == ORIGINAL
    text = plan.model_dump_json(exclude_unset=True)
    # ``if`` and ``else`` are words of Python; their fields have a ``_`` behind them.
    assert json.loads(text.replace('"if_"', '"if"').replace('"else_"', '"else"')) == snake(ORIGINAL)
    assert ExecutionPlan.model_validate_json(text) == plan


def test_a_python_user_needs_only_actions() -> None:
    """Everything but ``actions`` has a default; the title is the name, or else the id."""
    plan = ExecutionPlan(actions=(PlannedAction(id="a", action_definition_id="x"),))
    assert (plan.id, plan.title, plan.actions[0].inputs, plan.metadata.tags) == ("plan", "plan", {}, ())
    assert plan.model_copy(update={"name": "Order"}).title == "Order"


def test_models_are_frozen() -> None:
    """Nothing of a plan or a state can be changed in place."""
    plan = ExecutionPlan.model_validate(ORIGINAL)
    with pytest.raises(ValidationError, match="frozen"):
        plan.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("model", Model.__subclasses__())
def test_every_model_refuses_unknown_fields(model: type[Model]) -> None:
    """A field that no model has is an error, never silently dropped, at any depth."""
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        model.model_validate({"nonsense": 1})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("id", "a" * 201),
        ("id", "-a"),
        ("id", "a b"),
        ("id", "a\n"),
        ("id", 7),
        ("action_definition_id", ""),
        ("inputs", [1]),
        ("inputs", {"x": float("nan")}),
        ("inputs", {"x": {1, 2}}),
        ("timeout", 0),
        ("timeout", 1.5),
        ("priority", 10),
        ("queue", ""),
        ("retry", {"max_attempts": 0}),
        ("retry", {"factor": 0.5}),
        ("retry", {"factor": float("inf")}),
        ("retry", {"min_timeout_in_ms": -1}),
        ("retry", {"categories": ["nonsense"]}),
        ("condition", {"if": ""}),
        ("condition", {"if": "true", "then": "skip"}),
        ("condition", {"if": "true", "else": "retry"}),
        ("user_confirmation", {"timeout": -5}),
        ("error_handling", {"continue_on_failure": "perhaps"}),
    ],
)
def test_actions_refuse(field: str, value: Any) -> None:
    """Each limit of an action's fields holds."""
    with pytest.raises(ValidationError):
        PlannedAction.model_validate({"id": "a", "action_definition_id": "x", field: value})


@pytest.mark.parametrize("name", ["a", "A-b_c.d:e", "0", "_x", "a" * 200])
def test_ids_that_are_allowed(name: str) -> None:
    """Letters, digits and ``_ - . :``, beginning with a letter, a digit or ``_``, up to 200."""
    assert PlannedAction(id=name, action_definition_id="x").id == name


def test_null_is_a_fallback_when_it_was_given() -> None:
    """``fallback_value: null`` is a fallback; leaving it out is none."""
    assert ErrorHandling.model_validate({"fallbackValue": None}).has_fallback
    assert not ErrorHandling().has_fallback


def test_the_default_retry_policy_is_the_original_one() -> None:
    """3 attempts, factor 2, from 1 s to 30 s, jittered."""
    assert RetryPolicy().model_dump() == {
        "max_attempts": 3,
        "factor": 2.0,
        "min_timeout_in_ms": 1000,
        "max_timeout_in_ms": 30_000,
        "randomize": True,
        "categories": None,
    }
    assert UserConfirmation().required


def test_statuses_know_whether_they_are_final() -> None:
    """``ended`` is true for what cannot change any more."""
    assert {s.value for s in ExecutionStatus if s.ended} == {"completed", "failed", "cancelled"}
    assert {s.value for s in ActionStatus if s.ended} == {"completed", "failed", "skipped"}


def test_the_categories_of_the_original_are_all_there() -> None:
    """The original's twelve error categories keep their names."""
    original = (
        "auth_expired auth_invalid rate_limit_daily rate_limit_burst network_timeout network_connection_refused "
        "api_response_malformed api_endpoint_removed api_unexpected_status validation_failed state_inconsistent "
        "user_cancelled"
    )
    assert set(original.split()) <= {category.value for category in ErrorCategory}


@pytest.mark.parametrize(
    "result",
    [
        Success(output={"deep": [None, True, 1, 1.5, "x"]}),
        Failure(error=ErrorDetail(category=ErrorCategory.AUTH_EXPIRED, message="m", context={"a": [1]})),
        Skipped(reason="because"),
    ],
)
@pytest.mark.parametrize("by_alias", [True, False])
def test_a_state_survives_json(result: Any, by_alias: bool) -> None:
    """A state written in either form reads back equal; the result keeps its kind by its tag."""
    at = datetime(2024, 5, 1, 12, 0, 0, 123000, tzinfo=UTC)
    state = ExecutionState(
        id="e",
        plan_id="p",
        status=ExecutionStatus.COMPLETED,
        started_at=at,
        action_states={
            "a": ActionExecutionState(action_id="a", status=ActionStatus.COMPLETED, started_at=at, result=result)
        },
    )
    text = state.model_dump_json(by_alias=by_alias)
    assert ExecutionState.model_validate_json(text) == state
    assert ("actionStates" in text) is by_alias
    assert ExecutionState.model_validate(json.loads(json.dumps(state.to_json_dict()))) == state

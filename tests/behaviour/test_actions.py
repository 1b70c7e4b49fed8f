"""1.5: plain functions, async functions, models, Celery tasks and remote controls as actions of a plan."""

from __future__ import annotations

import pytest

from tests.behaviour.app import MAX_RESULT_SIZE
from tests.behaviour.endings import ONCE, Endings
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import ErrorCategory, action_task_id

PLANS = {
    "plain": plan(action("a", "behave.plain", inputs={"name": "you", "times": 3}), id="greeting"),
    "defaults": plan(action("a", "behave.plain", inputs={"name": "you"})),
    "async": plan(
        action("a", "behave.async", inputs={"name": "you"}), action("b", "test.async", inputs={"a": 1, "b": 2})
    ),
    "models": plan(
        action("a", "behave.sell", inputs={"order": {"item": "hat", "pieces": 2}, "price": 450}),
        action("b", "test.value", "a", inputs={"value": "${a.output.cents}"}),
    ),
    "celery": plan(
        action("a", "behave.charge", inputs={"amount": 5}),
        action("b", "behave.bound", "a", inputs={"amount": "${a.output.amount}"}),
    ),
    "context": plan(action("a", "test.context"), id="the-plan"),
    "keys": plan(
        action("a", "test.flaky", inputs={"times": 1}, retry={"max_attempts": 2, "min_timeout_in_ms": 0}),
        action("b", "test.flaky", inputs={"times": 0}),
    ),
    "rich": plan(action("a", "test.rich_output")),
    "log": plan(action("a", "behave.log", inputs={"words": "nothing to see here"}), id="logging"),
    "large": plan(action("a", "behave.large", inputs={"size": MAX_RESULT_SIZE // 2}), action("b", "test.value", "a")),
    "too large": plan(
        action("a", "behave.large", inputs={"size": MAX_RESULT_SIZE}, error_handling={"continue_on_failure": True}),
        action("b", "test.value", "a"),
    ),
    **{
        f"inputs {n}": plan(action("a", "behave.sell", inputs=inputs))
        for n, inputs in enumerate(
            (
                {"order": {"item": "hat", "pieces": 0}, "price": 1},
                {"order": {"item": "hat", "pieces": "two"}, "price": 1},
                {"order": {"item": "hat", "pieces": 1}},
                {"order": {"item": "hat", "pieces": 1}, "price": 1, "discount": 5},
            )
        )
    },
    "output": plan(action("a", "behave.broken_promise", inputs={"cents": "a lot"}, retry=ONCE)),
    "converted": plan(action("a", "behave.broken_promise", inputs={"cents": 12})),
}


def test_a_plain_function_is_an_action(ended: Endings) -> None:
    """A function registered under its definition id gets its inputs as keyword arguments; defaults count."""
    assert ended.output("plain", "a") == "Hello you!!!"
    assert ended.output("defaults", "a") == "Hello you!"


def test_an_async_function_is_an_action(ended: Endings) -> None:
    """An ``async def`` runs to its end; its output is what it returned."""
    assert (ended.output("async", "a"), ended.output("async", "b")) == ("Hello you, later", 3)


def test_models_in_and_out(ended: Endings) -> None:
    """Inputs become the models that the type hints name; a returned model is JSON for who reads it."""
    assert ended.output("models", "a") == {"item": "hat", "cents": 900}
    assert ended.output("models", "b") == 900


@pytest.mark.parametrize(
    ("number", "field", "problem"),
    [
        (0, "order.pieces", "Input should be greater than 0"),
        (1, "order.pieces", "Input should be a valid integer"),
        (2, "price", "Field required"),
        (3, "discount", "Extra inputs are not permitted"),
    ],
)
def test_inputs_are_validated(ended: Endings, number: int, field: str, problem: str) -> None:
    """Inputs that do not validate fail the action, naming each field and what is wrong with it."""
    error = ended.error(f"inputs {number}", "a")
    assert (error.category, error.retryable) == (ErrorCategory.VALIDATION_FAILED, False)
    assert error.message.startswith(f"Inputs of action definition 'behave.sell' are not valid: {field}: {problem}")
    assert error.context["problems"][0]["field"] == field
    assert ended.action(f"inputs {number}", "a").attempts == 1


def test_the_return_annotation_validates_the_output(ended: Endings) -> None:
    """An output that breaks the annotation fails the action; one that fits is converted by it."""
    error = ended.error("output", "a")
    assert error.category == ErrorCategory.VALIDATION_FAILED
    assert error.message.startswith("Output of action definition 'behave.broken_promise' is not valid: cents: ")
    assert ended.output("converted", "a") == {"item": "hat", "cents": 12}


def test_rich_outputs_become_json(ended: Endings) -> None:
    """Datetimes, decimals, sets and tuples come out as JSON types."""
    assert ended.output("rich", "a") == {
        "at": "2024-02-29T12:00:00",
        "price": "9.90",
        "tags": ["one"],
        "pair": [1, 2],
    }


def test_a_celery_task_is_an_action_in_one_line(ended: Endings) -> None:
    """An existing Celery task, bound or not, is exposed as an action in one line."""
    assert ended.output("celery", "a") == {"amount": 5, "currency": "EUR"}
    assert ended.output("celery", "b") == "behave.bound of 5"


def test_an_action_knows_where_it_stands(ended: Endings) -> None:
    """The ``ActionContext`` has execution id, plan id, action id, attempt, idempotency key and the cancel check."""
    execution_id = ended["context"].id
    assert ended.output("context", "a") == {
        "execution_id": execution_id,
        "plan_id": "the-plan",
        "action_id": "a",
        "attempt": 1,
        "idempotency_key": action_task_id(execution_id, "a"),
        "cancelled": False,
    }


def test_the_idempotency_key_is_the_same_over_all_attempts(behaviour: Site, ended: Endings) -> None:
    """It does not change from attempt to attempt, and no two actions share one."""
    execution_id = ended["keys"].id
    keys = {name: behaviour.notes(f"keys:{execution_id}:{name}") for name in "ab"}
    assert keys == {"a": [action_task_id(execution_id, "a")] * 2, "b": [action_task_id(execution_id, "b")]}


def test_the_logger_is_bound(behaviour: Site, ended: Endings) -> None:
    """What an action logs carries its execution, plan, action and attempt."""
    written = wait_until(
        lambda: next((line for line in behaviour.workers[0].output.splitlines() if "nothing to see" in line), "")
    )
    for name, value in {
        "execution_id": ended["log"].id,
        "action_id": "a",
        "plan_id": "logging",
    }.items():
        assert f"{name}='{value}'" in written
    assert "attempt=1" in written


def test_a_result_has_a_limit(ended: Endings) -> None:
    """A large result is kept; one over the limit fails its action, not its worker."""
    assert len(ended.output("large", "a")) == MAX_RESULT_SIZE // 2
    error = ended.error("too large", "a")
    assert (error.category, error.code, error.retryable) == (ErrorCategory.VALIDATION_FAILED, "output_refused", False)
    assert ended.statuses("too large")["b"] == "completed"

"""Which actions share a message: those of one definition, queue and priority, where the plan allows it."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from pydantic import ValidationError

from workflow_state import ExecutionPlan, compile_plan, execute_plan, validate_execution_plan
from workflow_state.runtime.canvas import level_group

E = "0f3d4e1c-6d0f-4b6e-9a52-8f1b3a1f7e11"


def actions(count: int, prefix: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"id": f"{prefix}{n}", "actionDefinitionId": "x", **fields} for n in range(count)]


def messages(plan: dict[str, Any]) -> list[tuple[str, Any]]:
    """Task and action ids of each message of the first level."""
    app = Celery(set_as_current=False, broker="memory://", backend="cache+memory://")
    app.finalize()
    assert execute_plan.name in app.tasks
    program = compile_plan(validate_execution_plan(plan))
    found = level_group(app, program, E, program.levels[0]).tasks
    return [(one.task.removeprefix("workflow_state."), one.args[1]) for one in found]


def test_off_by_default() -> None:
    """Without ``batchSize`` each action has its own message."""
    assert messages({"actions": actions(3, "a")}) == [("execute_action", f"a{n}") for n in range(3)]


def test_in_batches() -> None:
    """Full batches, then the rest; a rest of one is an ordinary message."""
    found = messages({"actions": actions(7, "a"), "batchSize": 3})
    assert found == [
        ("execute_batch", ["a0", "a1", "a2"]),
        ("execute_batch", ["a3", "a4", "a5"]),
        ("execute_action", "a6"),
    ]


def test_the_actions_own_size_comes_first() -> None:
    """``batchSize`` of an action overrides that of the plan; 1 takes it out."""
    found = messages({"actions": [*actions(2, "a", batchSize=1), *actions(4, "b", batchSize=2)], "batchSize": 50})
    assert found == [
        ("execute_action", "a0"),
        ("execute_action", "a1"),
        ("execute_batch", ["b0", "b1"]),
        ("execute_batch", ["b2", "b3"]),
    ]


def test_kinds_are_kept_apart() -> None:
    """Another definition, queue or priority is another message; one with a timeout is always alone."""
    plan = {
        "batchSize": 10,
        "actions": [
            *actions(2, "plain"),
            *actions(2, "queue", queue="other"),
            *actions(2, "priority", priority=5),
            *actions(2, "timed", timeout=1000),
            *[{**one, "actionDefinitionId": "y"} for one in actions(2, "definition")],
        ],
    }
    assert messages(plan) == [
        ("execute_action", "timed0"),
        ("execute_action", "timed1"),
        *(("execute_batch", [f"{kind}0", f"{kind}1"]) for kind in ("plain", "queue", "priority", "definition")),
    ]


def test_a_batch_goes_where_its_actions_go() -> None:
    """Queue and priority of the actions are those of the message, 0 included, and no id or input is in its name."""
    app = Celery(set_as_current=False, broker="memory://", backend="cache+memory://")
    app.finalize()
    plan = {"name": "Order 7", "batchSize": 2, "actions": actions(2, "a", queue="other", priority=0)}
    program = compile_plan(validate_execution_plan(plan))
    (message,) = level_group(app, program, E, program.levels[0]).tasks
    assert (message.options["queue"], message.options["priority"]) == ("other", 0)
    assert message.options["shadow"] == "Order 7/x in batches"


@pytest.mark.parametrize("size", [0, -1, 1001, 1.5, "many"])
def test_sizes_that_make_no_sense_are_refused(size: object) -> None:
    """From 1 to 1000, as a plan's parts are."""
    with pytest.raises(ValidationError, match="batchSize"):
        ExecutionPlan.model_validate({"actions": actions(1, "a"), "batchSize": size})


def test_shown_in_the_program() -> None:
    """``describe`` says what is batched."""
    program = compile_plan(validate_execution_plan({"actions": actions(1, "a"), "batchSize": 50}))
    assert "in batches of 50" in program.describe()

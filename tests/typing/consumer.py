"""The public API as users write it, for type checkers: each line that ignores an error would else be one.

Nothing runs it. `test_public_types.py` has it checked by mypy and pyright, both strict and without any plugin.
"""

from __future__ import annotations

from typing import assert_type

from pydantic import BaseModel

from workflow_state import (
    ActionContext,
    ActionError,
    ActionStatus,
    Condition,
    ErrorHandling,
    ExecutionPlan,
    ExecutionState,
    PlanExecutionError,
    PlannedAction,
    PlanResult,
    PlanValidationError,
    RetryPolicy,
    StateManager,
    Success,
    action,
    calculate_execution_metrics,
    create_sequential_pipeline,
    execute_plan,
    validate_execution_plan,
)
from workflow_state.testing import run_plan


class Order(BaseModel):
    number: int


@action("orders.find")
def find_order(number: int, context: ActionContext) -> Order:
    if context.attempt > 1 and number < 0:
        raise ActionError("no such order", category="validation_failed", retryable=False)
    context.progress(0.5, "half")
    return Order(number=number)


# A decorated function is still the function that it was.
assert_type(find_order.__name__, str)
find_order("seven", None)  # type: ignore[arg-type]

find = PlannedAction(id="find", action_definition_id="orders.find", inputs={"number": 7, "tags": ["a", None]})
numbers = {"number": 7}
PlannedAction(id="find", action_definition_id="orders.find", inputs=numbers)
PlannedAction(id="find", action_definition_id="orders.find", inputs={"number": object()})  # type: ignore[dict-item]
ship = PlannedAction(
    id="ship",
    action_definition_id="orders.ship",
    dependencies=["find"],
    inputs={"order": "${find.output}"},
    condition=Condition(if_="${find.output.number} > 0", else_="fail"),
    error_handling=ErrorHandling(continue_on_failure=True),
    retry=RetryPolicy(max_attempts=5, categories=None),
    timeout=10_000,
)
plan = ExecutionPlan(name="order", actions=[find, ship], schedule="dataflow")
ExecutionPlan(name="none")  # type: ignore[call-arg]
ExecutionPlan(actions=[find], schedule="rows")  # type: ignore[arg-type]

result = execute_plan.delay(plan)
assert_type(result, PlanResult)
assert_type(result.id, str)
state = result.get(timeout=30)
assert_type(state, ExecutionState)
execute_plan.delay(42)  # type: ignore[arg-type]
execute_plan.delay({"actions": [{"id": "a", "actionDefinitionId": "x"}]})

assert_type(state.action_states["find"].status, ActionStatus)
found = state.action_states["find"].result
if isinstance(found, Success):
    print(found.output)
print(state.action_states["find"].output)  # type: ignore[attr-defined]

manager = StateManager()
assert_type(manager.get_full_state(result.id), ExecutionState)
assert_type(manager.get_available_actions(result.id), list[str])
for event in manager.watch(result.id):
    if event.type == "action.execute.failed":
        print(event.action_id, event.error.message if event.error else "")
assert_type(manager.rerun(result.id, inputs={"find": {"number": 8}}), PlanResult)

try:
    assert_type(validate_execution_plan("{}"), ExecutionPlan)
except PlanValidationError as error:
    print([(problem.code, problem.location) for problem in error.errors])
except PlanExecutionError as error:
    assert_type(error.failed_actions, dict[str, str])

assert_type(create_sequential_pipeline(["find", "ship"], [find, ship]), list[PlannedAction])


def ship_order(order: Order) -> str:
    return f"shipped {order.number}"


assert_type(run_plan(plan, {"orders.ship": ship_order}), ExecutionState)
assert_type(calculate_execution_metrics(state).success_rate, float)

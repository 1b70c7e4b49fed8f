"""Order something: the plan is sent, a worker runs it, and the result comes back.

From the folder ``examples``, with a Redis or Valkey at localhost:6379 or where REDIS_URL says::

    celery -A shop.app worker        # in one terminal
    python -m shop.run               # in another
"""

from __future__ import annotations

from pydantic import JsonValue

from shop.app import app
from shop.plan import order_plan
from workflow_state import PlanExecutionError, StateManager, Success, execute_plan

ORDER: dict[str, JsonValue] = {
    "number": 4711,
    "customer": "ada@example.org",
    "items": [
        {"article": "analytical engine", "quantity": 1, "price": 740.0},
        {"article": "punched cards", "quantity": 20, "price": 1.25},
    ],
}


def main() -> int:
    """Run the plan; the exit code is 0 when it completed."""
    result = execute_plan.delay(order_plan(ORDER))
    print(f"execution {result.id}")
    try:
        state = result.get(timeout=60)
    except PlanExecutionError as error:
        print(error)
        # The state has everything that was done before it failed.
        state = StateManager(app).get_full_state(result.id)
    for name, action in state.action_states.items():
        outcome = action.result.output if isinstance(action.result, Success) else action.result
        print(f"{name:10} {action.status:10} attempts: {action.attempts}  {outcome}")
    print(f"{state.status} in {state.metrics.total_duration} ms")
    return 0 if state.status == "completed" else 1


if __name__ == "__main__":
    raise SystemExit(main())

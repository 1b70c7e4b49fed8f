"""Have two pages fetched by the service, and what they say put together by a worker.

From the folder ``examples``, with a Redis or Valkey at localhost:6379 or where REDIS_URL says::

    celery -A remote.app worker                    # in one terminal
    python -m remote.service                       # in another: needs httpx
    python -m remote.run URL URL                   # in a third: two addresses that answer JSON with a "word"
"""

from __future__ import annotations

import sys

from remote.app import app
from workflow_state import PlanExecutionError, StateManager, execute_plan


def main(urls: list[str]) -> int:
    """Run the plan; the exit code is 0 when it completed."""
    fetches = [
        {"id": f"fetch{n}", "action_definition_id": "http.request", "inputs": {"url": url}, "timeout": 5000}
        for n, url in enumerate(urls)
    ]
    parts = [f"${{fetch{n}.output.body.word}}" for n in range(len(urls))]
    join = {"id": "join", "action_definition_id": "text.join", "inputs": {"parts": parts}}
    plan = {"name": "fetch", "actions": [*fetches, {**join, "dependencies": [fetch["id"] for fetch in fetches]}]}
    app.set_current()
    result = execute_plan.delay(plan)
    try:
        state = result.get(timeout=60)
    except PlanExecutionError as error:
        print(error)
        state = StateManager(app).get_full_state(result.id)
    for name, action in state.action_states.items():
        print(
            f"{name:8} {action.status:10} attempts: {action.attempts}  {action.error.message if action.error else ''}"
        )
    print(getattr(state.action_states["join"].result, "output", "nothing"))
    return 0 if state.status == "completed" else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

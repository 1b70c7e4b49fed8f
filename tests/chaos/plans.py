"""The plans of the chaos tests, as dicts."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from workflow_state import ExecutionState

SCHEDULES = ("levels", "dataflow")
QUICK = {"max_attempts": 3, "min_timeout_in_ms": 50, "max_timeout_in_ms": 100}


def action(action_id: str, definition: str, *after: str, **fields: Any) -> dict[str, Any]:
    """One action; ``inputs`` and all other fields by name."""
    return {"id": action_id, "action_definition_id": definition, "dependencies": list(after), **fields}


def layered(levels: int, width: int, pause: tuple[int, int] = (5, 50)) -> dict[str, Any]:
    """``levels × width`` actions: most compute a value from those of the level before, read by reference.

    Of every twenty, one is a leaf that a condition skips or lets run, one a leaf that fails and is
    tolerated, one fails once and is tried again. ``pause``: milliseconds, from and to.
    """
    chance = random.Random(levels * 1000 + width)
    actions: list[dict[str, Any]] = []
    before: list[str] = []
    for level in range(levels):
        computing = []
        for n in range(width):
            name = f"a{level}_{n}"
            after = chance.sample(before, min(2, len(before)))
            made = _action(name, level * width + n, after, chance.randint(*pause))
            actions.append(made)
            if made["action_definition_id"] == "chaos.work" and "condition" not in made:
                computing.append(name)
        before = computing
    return {"id": "layered", "name": f"{levels} by {width}", "actions": actions}


def tangled(count: int, pause: tuple[int, int] = (5, 50)) -> dict[str, Any]:
    """As :func:`layered`, a data flow with no layers: each action reads up to three of the sixty computed before it."""
    chance = random.Random(count)
    actions: list[dict[str, Any]] = []
    before: list[str] = []
    for number in range(count):
        after = chance.sample(before[-60:], min(len(before), chance.randint(0, 3)))
        made = _action(f"a{number}", number, after, chance.randint(*pause))
        actions.append(made)
        if made["action_definition_id"] == "chaos.work" and "condition" not in made:
            before.append(made["id"])
    return {"id": "tangled", "name": f"{count} tangled", "schedule": "dataflow", "actions": actions}


def _action(name: str, number: int, after: list[str], pause: int) -> dict[str, Any]:
    inputs: dict[str, Any] = {"number": number}
    if number % 20 == 7:
        return action(name, "chaos.flaky", *after, inputs=inputs, retry=QUICK)
    if number % 20 == 12:
        return action(name, "chaos.fail", *after, inputs=inputs, error_handling={"continue_on_failure": True})
    inputs |= {"pause": pause, "values": [f"${{{source}.output.value}}" for source in after]}
    if number % 20 == 17 and after:
        condition = {"if": f"${{{after[0]}.output.value}} > {2**47}", "else": "skip"}
        return action(name, "chaos.work", *after, inputs=inputs, condition=condition)
    return action(name, "chaos.work", *after, inputs=inputs)


def outcome(state: ExecutionState) -> Mapping[str, Any]:
    """What must not depend on what happened on the way: all but times and attempts."""
    return {
        "status": state.status,
        "error": state.error,
        "counts": state.metrics.model_copy(update={"total_duration": 0}),
        "actions": {name: (found.status, found.result, found.error) for name, found in state.action_states.items()},
    }

"""Who waits for whom in a plan: its dependencies, and the edges that alternatives add."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from workflow_state import graph
from workflow_state.arguments import checked
from workflow_state.models import ExecutionPlan, PlannedAction

#: How many alternatives may stand behind one action, each for the one before: who depends on it waits for them all.
MAX_ALTERNATIVES: Final = 20


def alternatives_of(plan: ExecutionPlan) -> dict[str, str]:
    """Action id → the id of its alternative, for the actions that name one."""
    found: dict[str, str] = {}
    for action in plan.actions:
        if action.error_handling and action.error_handling.alternative_action_id:
            found.setdefault(action.id, action.error_handling.alternative_action_id)
    return found


def scheduling_needs(plan: ExecutionPlan) -> dict[str, list[str]]:
    """Whom each action waits for: its dependencies, and the edges that alternatives add.

    An alternative waits for the action it may stand in for, and whoever depends on that action waits
    for the alternative too, so it is known who gave the output before anyone reads it.
    """
    alternatives = alternatives_of(plan)
    needs = {action.id: list(action.dependencies) for action in plan.actions}
    for action in plan.actions:
        for name in action.dependencies:
            for stand_in in stand_ins(alternatives, name):
                if stand_in != action.id and stand_in in needs:
                    needs[action.id].append(stand_in)
    for action_id, alternative in alternatives.items():
        if alternative in needs:
            needs[alternative].append(action_id)
    return {node: list(dict.fromkeys(before)) for node, before in needs.items()}


@checked
def find_circular_dependencies(actions: Iterable[PlannedAction | Mapping[str, Any]]) -> list[list[str]]:
    """One closed path of ids per circular dependency, such as ``[["a", "b", "a"]]``; empty if there is none.

    Example:
        >>> find_circular_dependencies([
        ...     {"id": "a", "actionDefinitionId": "x", "dependencies": ["b"]},
        ...     {"id": "b", "actionDefinitionId": "x", "dependencies": ["a"]},
        ... ])
        [['a', 'b', 'a']]
    """
    planned = [a if isinstance(a, PlannedAction) else PlannedAction.model_validate(a) for a in actions]
    return graph.cycles({action.id: action.dependencies for action in planned})


def stand_ins(alternatives: Mapping[str, str], name: str) -> list[str]:
    """The alternatives of an action, and theirs, in the order they would run.

    Stops at a cycle, and one beyond :data:`MAX_ALTERNATIVES`; validation refuses both.
    """
    found: list[str] = []
    while (name := alternatives.get(name, "")) and name not in found and len(found) <= MAX_ALTERNATIVES:
        found.append(name)
    return found

"""Plan → Program: levels, successors, what each action reads, and what its failure means.

Everything that a plan decides before it runs is decided here, once, in linear time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import JsonValue

from workflow_state import graph
from workflow_state.arguments import checked
from workflow_state.collector import uncollected
from workflow_state.conditions import parse_condition
from workflow_state.dependencies import scheduling_needs
from workflow_state.models import ErrorHandling, ExecutionPlan, PlannedAction, UserConfirmation
from workflow_state.program import SCHEMA_OF, USUAL_RETRY, Program, Step
from workflow_state.references import find_references

_NO_HANDLING = ErrorHandling()


@checked
@uncollected
def compile_plan(plan: ExecutionPlan, schedule: Literal["levels", "dataflow"] = "levels") -> Program:
    """Compile a valid plan, such as :func:`validate_execution_plan` gives, to what the engine runs.

    Args:
        plan: the plan.
        schedule: of a plan that does not say.

    Raises:
        ValueError: the plan has a cycle.

    Example:
        >>> print(compile_plan(plan).describe())
        plan 'nightly': 4 actions in 3 levels
        ...
    """
    schedule = plan.schedule or schedule
    needs = scheduling_needs(plan)
    levels = graph.levels(needs)
    level_of = graph.level_of(levels)
    after = graph.successors(needs)
    handling = {action.id: action.error_handling or _NO_HANDLING for action in plan.actions}
    principals: dict[str, list[str]] = {}
    for action in plan.actions:
        alternative = handling[action.id].alternative_action_id
        if alternative:
            principals.setdefault(alternative, []).append(action.id)
    # Only alternatives add to whom an action waits for.
    dependents = graph.successors({a.id: a.dependencies for a in plan.actions}) if principals else after
    steps = {
        action.id: Step(
            id=action.id,
            definition=action.action_definition_id,
            level=level_of[action.id] if schedule == "levels" else None,
            inputs=dict(action.inputs),
            dependencies=tuple(action.dependencies),
            needs=tuple(needs[action.id]),
            successors=tuple(after[action.id]),
            sources=_sources(action, handling),
            condition=action.condition,
            alternative=handling[action.id].alternative_action_id,
            stands_in_for=tuple(principals.get(action.id, ())),
            fallback=_fallback(action.error_handling),
            on_failure=_on_failure(action.id, handling, dependents, principals),
            on_skip=_on_skip(action.id, handling, dependents, principals),
            retry=action.retry or USUAL_RETRY,
            timeout=action.timeout,
            confirmation=_confirmation(action),
            queue=action.queue,
            priority=action.priority,
            batch_size=_batch_size(plan, action),
        )
        for action in plan.actions
    }
    return Program(
        schema_version=SCHEMA_OF[schedule],
        plan_id=plan.id,
        title=plan.title,
        schedule=schedule,
        levels=tuple(tuple(level) for level in levels),
        steps=steps,
        expected_outcome=plan.expected_outcome,
    )


def _batch_size(plan: ExecutionPlan, action: PlannedAction) -> int:
    """A timeout is enforced for a message, so it has to be the action's alone."""
    return 1 if action.timeout is not None else action.batch_size or plan.batch_size or 1


def _fallback(handling: ErrorHandling | None) -> tuple[JsonValue] | None:
    return (handling.fallback_value,) if handling is not None and handling.has_fallback else None


def _confirmation(action: PlannedAction) -> UserConfirmation | None:
    asked = action.user_confirmation
    return asked if asked is not None and asked.required else None


def _sources(action: PlannedAction, handling: Mapping[str, ErrorHandling]) -> tuple[str, ...]:
    """Whose results the action reads, the alternatives that may stand in for them included."""
    if not (action.inputs or action.condition):
        return ()
    read = [reference.action_id for reference in find_references(dict(action.inputs))]
    if action.condition:
        read += [reference.action_id for reference in parse_condition(action.condition.if_).references]
    return tuple(with_stand_ins(read, handling))


def with_stand_ins(ids: Iterable[str], handling: Mapping[str, ErrorHandling]) -> list[str]:
    """The ids and, behind each, the alternatives that may stand in for it; each id once."""
    found: dict[str, None] = {}
    for action_id in ids:
        name: str | None = action_id
        while name is not None and name not in found:
            found[name] = None
            name = handling[name].alternative_action_id if name in handling else None
    return list(found)


def _on_failure(
    action_id: str,
    handling: Mapping[str, ErrorHandling],
    dependents: Mapping[str, list[str]],
    principals: Mapping[str, list[str]],
) -> Literal["halt", "continue"]:
    """Whether the final failure of an action halts the execution.

    An alternative takes over the failure of its principal, and answers for it: when it fails too, what
    tolerates the principal tolerates it. Otherwise the action's own flag tolerates its failure, or the
    flag of every action that depends on it.
    """
    if handling[action_id].alternative_action_id:
        return "continue"
    return "continue" if tolerates(action_id, handling, dependents, principals) else "halt"


def _on_skip(
    action_id: str,
    handling: Mapping[str, ErrorHandling],
    dependents: Mapping[str, list[str]],
    principals: Mapping[str, list[str]],
) -> Literal["halt", "continue"]:
    """Whether skipping an alternative that is called for halts the execution: the failure stays unhandled.

    Its own alternative does not help: that one is called for when it fails.
    """
    if action_id not in principals:
        return "continue"
    return "continue" if tolerates(action_id, handling, dependents, principals) else "halt"


def tolerates(
    action_id: str,
    handling: Mapping[str, ErrorHandling],
    dependents: Mapping[str, list[str]],
    principals: Mapping[str, list[str]],
) -> bool:
    """Whether flags tolerate the failure of an action, or of everything that it stands in for."""
    waiting = dependents[action_id]
    if handling[action_id].continue_on_failure:
        return True
    if waiting and all(handling[name].continue_on_failure for name in waiting):
        return True
    stood_for = principals.get(action_id, [])
    return bool(stood_for) and all(tolerates(name, handling, dependents, principals) for name in stood_for)

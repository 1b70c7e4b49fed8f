"""Warnings: a plan that can run, but perhaps does not say what its author means."""

from __future__ import annotations

from collections.abc import Iterator

from workflow_state.compiler import compile_plan
from workflow_state.conditions import static_value
from workflow_state.errors import PlanProblem
from workflow_state.models import ExecutionPlan, PlannedAction
from workflow_state.program import Program
from workflow_state.references import MISSING, Missing, Outcome, Reference, find_references, look_up
from workflow_state.rules import parse_cached


def find_warnings(plan: ExecutionPlan) -> list[PlanProblem]:
    """All warnings for a plan without errors, in the order of its actions."""
    program = compile_plan(plan)
    never = _never_run(plan, program)
    found: list[PlanProblem] = []
    for n, action in enumerate(plan.actions):
        place = f"actions[{n}]"
        found.extend(_condition_warnings(action, place))
        found.extend(_dependency_warnings(action, place))
        if action.id in never:
            found.append(_warning("unreachable_action", place, f"Action {action.id!r} never runs: {never[action.id]}"))
        found.extend(_reading_warnings(program, action, place))
    return found


def _warning(code: str, place: str, message: str, suggestion: str = "") -> PlanProblem:
    return PlanProblem(code, place, message, suggestion, severity="warning")


def _condition_warnings(action: PlannedAction, place: str) -> Iterator[PlanProblem]:
    if action.condition is None:
        return
    value = static_value(parse_cached(action.condition.if_))
    where = f"{place}.condition.if"
    if value is False:
        message = f"The condition of {action.id!r} can never hold: {action.condition.if_}"
        yield _warning("condition_never_holds", where, message, "compare a reference, or remove the action")
    elif value is True:
        message = f"The condition of {action.id!r} always holds: {action.condition.if_}"
        yield _warning("condition_always_holds", where, message, "remove the condition")


def _dependency_warnings(action: PlannedAction, place: str) -> Iterator[PlanProblem]:
    seen = set()
    for n, name in enumerate(action.dependencies):
        if name in seen:
            message = f"Action {action.id!r} names the dependency {name!r} twice"
            yield _warning("duplicate_dependency", f"{place}.dependencies[{n}]", message, "name it once")
        seen.add(name)
    handling = action.error_handling
    if handling and handling.has_fallback and handling.alternative_action_id:
        message = f"Action {action.id!r} has a fallback value, so its alternative is never called for"
        where = f"{place}.error_handling.alternative_action_id"
        yield _warning("unused_alternative", where, message, "keep one of the two")


def _never_run(plan: ExecutionPlan, program: Program) -> dict[str, str]:
    """Ids of actions that no run of the plan can reach, each with the reason."""
    actions = {action.id: action for action in plan.actions}
    never: dict[str, str] = {}
    # Who is always skipped takes along what only it leads to; who always fails does not.
    skipped: set[str] = set()
    for level in program.levels:
        for name in level:
            step = program.steps[name]
            condition = actions[name].condition
            if step.dependencies and all(before in skipped for before in step.dependencies):
                never[name] = f"none of its dependencies ever runs ({', '.join(step.dependencies)})"
            elif step.stands_in_for and all(program.steps[p].fallback or p in skipped for p in step.stands_in_for):
                never[name] = f"what it stands in for never fails for good ({', '.join(step.stands_in_for)})"
            elif condition and static_value(parse_cached(condition.if_)) is False:
                never[name] = "its condition can never hold"
                if condition.else_ == "fail":
                    continue
            if name in never:
                skipped.add(name)
    return never


def _reading_warnings(program: Program, action: PlannedAction, place: str) -> Iterator[PlanProblem]:
    """References that find nothing in runs which the plan itself foresees."""
    for name, value in action.inputs.items():
        for reference in find_references(value):
            if not isinstance(reference.default, Missing) or reference.root != "output":
                continue
            where = f"{place}.inputs.{name}"
            yield from _fallback_warnings(program, action, reference, where)
            if why := _may_lack_output(program, action, reference):
                message = f"{reference.text} finds nothing when action {reference.action_id!r} {why}"
                hint = "write a default, such as ${" + reference.text[2:-1] + " ?? null}"
                yield _warning("reference_may_be_missing", where, message, hint)


def _fallback_warnings(
    program: Program, action: PlannedAction, reference: Reference, where: str
) -> Iterator[PlanProblem]:
    fallback = program.steps[reference.action_id].fallback
    if fallback is None:
        return
    outcome = {reference.action_id: Outcome("completed", fallback[0])}
    if look_up(reference, outcome) is MISSING:
        message = f"Action {action.id!r} reads {reference.text}, which the fallback value of that action lacks"
        yield _warning("fallback_lacks_field", where, message, "add the field to the fallback value")


def _may_lack_output(program: Program, action: PlannedAction, reference: Reference) -> str:
    """How the source may end without output while the reader still runs, or ""."""
    source = program.steps[reference.action_id]
    if source.fallback is None and source.alternative is None and source.on_failure == "continue":
        return "fails, which is tolerated"
    # A reader whose every dependency is skipped is skipped itself and reads nothing.
    others = [name for name in action.dependencies if name != source.id]
    if source.condition and source.condition.else_ == "skip" and (others or source.id not in action.dependencies):
        own = {r.action_id for r in parse_cached(action.condition.if_).references} if action.condition else set()
        return "" if source.id in own else "is skipped"
    return ""

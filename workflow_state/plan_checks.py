"""Everything that makes a well-formed plan unable to run: ids, graph, references, conditions, outcome."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

from pydantic_core import SchemaError

from workflow_state import graph
from workflow_state.conditions import parse_condition
from workflow_state.dependencies import alternatives_of, scheduling_needs
from workflow_state.errors import ConditionParseError, PlanProblem, ReferenceParseError
from workflow_state.matching import matches
from workflow_state.models import ExecutionPlan, OutcomeValidation, PlannedAction
from workflow_state.references import Reference, iter_strings, parse_reference, split_template

#: An id's dotted parts must not read like the root of a reference.
RESERVED_SEGMENTS = frozenset({"output", "status", "error"})


def find_errors(plan: ExecutionPlan) -> list[PlanProblem]:
    """All errors of a plan's logic; empty when it can run."""
    problems = [*_id_problems(plan), *_dependency_problems(plan)]
    knots = _cycle_problems(plan)
    needs = None if knots else scheduling_needs(plan)
    problems.extend(knots)
    problems.extend(_reference_problems(plan, needs))
    return problems


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint such as ``did you mean 'fetch'?``, or ""."""
    found = difflib.get_close_matches(name, list(known)[:5000], n=1)
    return f"did you mean {found[0]!r}?" if found else ""


def _id_problems(plan: ExecutionPlan) -> list[PlanProblem]:
    problems = []
    first_at: dict[str, int] = {}
    for n, action in enumerate(plan.actions):
        place = f"actions[{n}].id"
        if action.id in first_at:
            message = f"The id {action.id!r} is already that of actions[{first_at[action.id]}]"
            problems.append(PlanProblem("duplicate_id", place, message, "give each action an id of its own"))
        first_at.setdefault(action.id, n)
        reserved = RESERVED_SEGMENTS.intersection(action.id.split("."))
        if reserved:
            word = sorted(reserved)[0]
            message = f"The id {action.id!r} has the part {word!r}, which references could not tell apart"
            problems.append(PlanProblem("invalid_id", place, message, f"rename the part {word!r}"))
    return problems


def _dependency_problems(plan: ExecutionPlan) -> list[PlanProblem]:
    known = {action.id for action in plan.actions}
    problems = []
    for n, action in enumerate(plan.actions):
        for m, name in enumerate(action.dependencies):
            if name not in known:
                place = f"actions[{n}].dependencies[{m}]"
                message = f"Action {action.id!r} depends on {name!r}, which is not in the plan"
                problems.append(PlanProblem("unknown_dependency", place, message, nearest(name, known)))
        alternative = action.error_handling.alternative_action_id if action.error_handling else None
        if alternative is not None and alternative not in known:
            place = f"actions[{n}].error_handling.alternative_action_id"
            message = f"The alternative {alternative!r} of action {action.id!r} is not in the plan"
            problems.append(PlanProblem("unknown_alternative", place, message, nearest(alternative, known)))
    return problems


def _cycle_problems(plan: ExecutionPlan) -> list[PlanProblem]:
    """Circular dependencies, or else circles that alternatives make."""
    problems = []
    for cycle in graph.cycles({action.id: action.dependencies for action in plan.actions}):
        message = f"Circular dependency: {' → '.join(cycle)} (each waits for the next)"
        hint = f"remove one of these dependencies, for example {cycle[1]!r} from {cycle[0]!r}"
        problems.append(PlanProblem("cycle", _at(plan, cycle[0], "dependencies"), message, hint))
    if problems:
        return problems
    for cycle in graph.cycles(scheduling_needs(plan)):
        alternatives = alternatives_of(plan)
        start = next((name for name in cycle if name in alternatives or name in alternatives.values()), cycle[0])
        place = _at(plan, start, "error_handling.alternative_action_id")
        message = f"Alternatives close a circle: {' → '.join(cycle)} (each can only run after the next)"
        hint = "an alternative must not depend on what depends on the action it stands in for, nor lead back to it"
        problems.append(PlanProblem("alternative_cycle", place, message, hint))
    return problems


def _reference_problems(plan: ExecutionPlan, needs: dict[str, list[str]] | None) -> list[PlanProblem]:
    """Problems of all references; with ``needs`` None (the graph has cycles) ancestry is not judged."""
    level = graph.level_of(graph.levels(needs)) if needs is not None else {}
    known = {action.id for action in plan.actions}
    problems: list[PlanProblem] = []
    for n, action in enumerate(plan.actions):
        for place, found in _read_by(action, n):
            if isinstance(found, PlanProblem):
                problems.append(found)
            elif problem := _ancestor_problem(action, found, place, known, needs, level):
                problems.append(problem)
    for n, check in enumerate(plan.expected_outcome.validations if plan.expected_outcome else ()):
        problems.extend(_outcome_problems(check, f"expected_outcome.validations[{n}]", known))
    return problems


def _read_by(action: PlannedAction, number: int) -> Iterator[tuple[str, Reference | PlanProblem]]:
    """Each reference in an action's inputs and condition with its place, or the problem of reading it."""
    for place, text in iter_strings(action.inputs, f"actions[{number}].inputs"):
        if "${" not in text:
            continue
        try:
            for piece in split_template(text):
                if isinstance(piece, Reference):
                    yield place, piece
        except ReferenceParseError as error:
            yield place, PlanProblem("reference_syntax", place, f"Not a reference: {error}")
    if action.condition:
        place = f"actions[{number}].condition.if"
        try:
            for reference in parse_condition(action.condition.if_).references:
                yield place, reference
        except ConditionParseError as error:
            yield place, PlanProblem("condition_syntax", place, f"Not a condition: {error}")


def _ancestor_problem(
    action: PlannedAction,
    reference: Reference,
    place: str,
    known: set[str],
    needs: dict[str, list[str]] | None,
    level: Mapping[str, int],
) -> PlanProblem | None:
    source = reference.action_id
    if source not in known:
        message = f"{reference.text} reads action {source!r}, which is not in the plan"
        return PlanProblem("reference_unknown_action", place, message, nearest(source, known))
    if source in action.dependencies:
        return None
    if source == action.id:
        message = f"Action {action.id!r} reads itself by {reference.text}"
        return PlanProblem("reference_not_ancestor", place, message, "read an action it depends on")
    if needs is None or graph.has_ancestor(needs, action.id, source, level):
        return None
    return PlanProblem(
        "reference_not_ancestor",
        place,
        f"Action {action.id!r} reads {reference.text} but does not depend on {source!r}, directly or not",
        f"add {source!r} to the dependencies of {action.id!r}",
    )


def _outcome_problems(check: OutcomeValidation, place: str, known: set[str]) -> list[PlanProblem]:
    problems = []
    try:
        source = parse_reference(check.reference).action_id
    except ReferenceParseError as error:
        problems.append(PlanProblem("reference_syntax", f"{place}.reference", f"Not a reference: {error}"))
    else:
        if source not in known:
            message = f"{check.reference} reads action {source!r}, which is not in the plan"
            hint = nearest(source, known)
            problems.append(PlanProblem("reference_unknown_action", f"{place}.reference", message, hint))
    if check.operator == "matches":
        problems.extend(_pattern_problems(check, f"{place}.value"))
    return problems


def _pattern_problems(check: OutcomeValidation, place: str) -> list[PlanProblem]:
    if not isinstance(check.value, str):
        message = f"'matches' compares with a regular expression; found {check.value!r}"
        return [PlanProblem("invalid_pattern", place, message, "give the pattern as text")]
    try:
        matches(check.value, "")
    except SchemaError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        hint = "look-around and back-references are not available: patterns run in linear time"
        return [PlanProblem("invalid_pattern", place, f"Not a regular expression: {reason}", hint)]
    return []


def _at(plan: ExecutionPlan, action_id: str, field: str) -> str:
    number = next(n for n, action in enumerate(plan.actions) if action.id == action_id)
    return f"actions[{number}].{field}"

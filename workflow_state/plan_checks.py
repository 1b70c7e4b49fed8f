"""Everything that makes a well-formed plan unable to run: ids, graph, references, conditions, outcome."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic_core import PydanticSerializationError, SchemaError

from workflow_state import graph
from workflow_state.conditions import parse_condition
from workflow_state.dependencies import MAX_ALTERNATIVES, alternatives_of, scheduling_needs, stand_ins
from workflow_state.errors import ConditionParseError, PlanProblem, ReferenceParseError
from workflow_state.hints import Names
from workflow_state.json_values import MAX_DIGITS, has_endless_number, is_text, problem_in
from workflow_state.matching import matches
from workflow_state.models import ExecutionPlan, OutcomeValidation, PlannedAction
from workflow_state.redaction import DEFAULT
from workflow_state.references import Reference, iter_strings, kind_of, parse_reference, split_template

#: An id's dotted parts must not read like the root of a reference.
RESERVED_SEGMENTS = frozenset({"output", "status", "error"})


def find_errors(plan: ExecutionPlan) -> list[PlanProblem]:
    """All errors of a plan's logic; empty when it can run."""
    known = Names(action.id for action in plan.actions)
    problems = [*_id_problems(plan), *_dependency_problems(plan, known), *_chain_problems(plan)]
    knots = _cycle_problems(plan)
    needs = None if knots else scheduling_needs(plan)
    problems.extend(knots)
    problems.extend(_reference_problems(plan, known, needs))
    problems.extend(_value_problems(plan))
    return problems or _text_problems(plan)


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


def _dependency_problems(plan: ExecutionPlan, known: Names) -> list[PlanProblem]:
    problems = []
    for n, action in enumerate(plan.actions):
        for m, name in enumerate(action.dependencies):
            if name not in known:
                place = f"actions[{n}].dependencies[{m}]"
                message = f"Action {action.id!r} depends on {name!r}, which is not in the plan"
                problems.append(PlanProblem("unknown_dependency", place, message, known.nearest(name)))
        alternative = action.error_handling.alternative_action_id if action.error_handling else None
        if alternative is not None and alternative not in known:
            place = f"actions[{n}].error_handling.alternative_action_id"
            message = f"The alternative {alternative!r} of action {action.id!r} is not in the plan"
            problems.append(PlanProblem("unknown_alternative", place, message, known.nearest(alternative)))
    return problems


def _chain_problems(plan: ExecutionPlan) -> list[PlanProblem]:
    """Actions with too many alternatives behind them, each standing in for the one before."""
    alternatives = alternatives_of(plan)
    within = set(alternatives.values())
    problems = []
    for n, action in enumerate(plan.actions):
        if action.id not in within and len(stand_ins(alternatives, action.id)) > MAX_ALTERNATIVES:
            place = f"actions[{n}].error_handling.alternative_action_id"
            message = f"More than {MAX_ALTERNATIVES} alternatives stand behind action {action.id!r}, one for the other"
            hint = "shorten the chain, or try several services inside one action"
            problems.append(PlanProblem("too_many_alternatives", place, message, hint))
    return problems


def _cycle_problems(plan: ExecutionPlan) -> list[PlanProblem]:
    """Circular dependencies, or else circles that alternatives make."""
    problems = []
    number = {action.id: n for n, action in reversed(list(enumerate(plan.actions)))}
    for cycle in _cycles({action.id: action.dependencies for action in plan.actions}):
        message = f"Circular dependency: {' → '.join(cycle)} (each waits for the next)"
        hint = f"remove one of these dependencies, for example {cycle[1]!r} from {cycle[0]!r}"
        problems.append(PlanProblem("cycle", f"actions[{number[cycle[0]]}].dependencies", message, hint))
    if problems or not alternatives_of(plan):
        return problems
    principals = {alternative: name for name, alternative in alternatives_of(plan).items()}
    for cycle in _cycles(scheduling_needs(plan)):
        # Only the edges of an alternative can have closed it.
        principal = next(principals[name] for name in cycle if name in principals)
        place = f"actions[{number[principal]}].error_handling.alternative_action_id"
        message = f"Alternatives close a circle: {' → '.join(cycle)} (each can only run after the next)"
        hint = "an alternative must not depend on what depends on the action it stands in for, nor lead back to it"
        problems.append(PlanProblem("alternative_cycle", place, message, hint))
    return problems


def _cycles(needs: graph.Needs) -> list[list[str]]:
    """To see that there are none takes half as long as to look for them."""
    try:
        graph.levels(needs)
    except ValueError:
        return graph.cycles(needs)
    return []


def _value_problems(plan: ExecutionPlan) -> list[PlanProblem]:
    """Numbers that no worker could read, and fallback values that could not be stored as the outputs they become."""
    problems = []
    for n, action in enumerate(plan.actions):
        for name, value in action.inputs.items():
            if not name.isascii() and not is_text(name):
                message = "The name of an input has half of a surrogate pair"
                problems.append(PlanProblem("invalid_value", f"actions[{n}].inputs", message))
            if has_endless_number(value):
                message = f"A number has more than {MAX_DIGITS} digits"
                problems.append(PlanProblem("invalid_value", f"actions[{n}].inputs.{name}", message, "give it as text"))
        if action.error_handling and (problem := problem_in(action.error_handling.fallback_value)):
            place = f"actions[{n}].error_handling.fallback_value"
            problems.append(PlanProblem("invalid_value", place, f"The value cannot be kept as JSON: {problem}"))
    return problems


def _text_problems(plan: ExecutionPlan) -> list[PlanProblem]:
    """Whatever else cannot be sent: half of a surrogate pair in a name, a tag or the key of an object."""
    try:
        plan.model_dump_json()
    except PydanticSerializationError as error:
        return [PlanProblem("invalid_value", "", f"The plan cannot be written as JSON: {error}")]
    return []


def _reference_problems(plan: ExecutionPlan, known: Names, needs: dict[str, list[str]] | None) -> list[PlanProblem]:
    """Problems of all references; with ``needs`` None (the graph has cycles) ancestry is not judged."""
    read = [(action, *found) for n, action in enumerate(plan.actions) for found in _read_by(action, n)]
    far = {
        (action.id, found.action_id)
        for action, _, found in read
        if isinstance(found, Reference) and found.action_id in known and found.action_id not in action.dependencies
    }
    strangers = set() if needs is None else far - graph.ancestries(needs, far)
    problems: list[PlanProblem] = []
    for action, place, found in read:
        if isinstance(found, PlanProblem):
            problems.append(found)
        elif problem := _source_problem(action, found, place, known, strangers):
            problems.append(problem)
    for n, check in enumerate(plan.expected_outcome.validations if plan.expected_outcome else ()):
        problems.extend(_outcome_problems(check, f"expected_outcome.validations[{n}]", known))
    return problems


def _read_by(action: PlannedAction, number: int) -> Iterator[tuple[str, Reference | PlanProblem]]:
    """Each reference in an action's inputs and condition with its place, or the problem of reading it."""
    texts = iter_strings(dict(action.inputs), f"actions[{number}].inputs") if action.inputs else ()
    for place, text in texts:
        if not text.isascii() and not is_text(text):
            yield place, PlanProblem("invalid_value", place, "The text has half of a surrogate pair")
        if "${" not in text:
            continue
        try:
            for piece in split_template(text):
                if isinstance(piece, Reference):
                    yield place, piece
        except ReferenceParseError as error:
            secret = f"at position {error.position} of a text that is secret by its name"
            why = secret if DEFAULT.hides(place) else str(error)
            yield place, PlanProblem("reference_syntax", place, f"Not a reference: {why}")
    if action.condition:
        place = f"actions[{number}].condition.if"
        try:
            for reference in parse_condition(action.condition.if_).references:
                yield place, reference
        except ConditionParseError as error:
            yield place, PlanProblem("condition_syntax", place, f"Not a condition: {error}")


def _source_problem(
    action: PlannedAction, reference: Reference, place: str, known: Names, strangers: set[tuple[str, str]]
) -> PlanProblem | None:
    """What is wrong with whom a reference reads; ``strangers``: pairs of reader and source that is no ancestor."""
    source = reference.action_id
    if source not in known:
        message = f"{reference.text} reads action {source!r}, which is not in the plan"
        return PlanProblem("reference_unknown_action", place, message, known.nearest(source))
    if source == action.id:
        message = f"Action {action.id!r} reads itself by {reference.text}"
        return PlanProblem("reference_not_ancestor", place, message, "read an action it depends on")
    if (action.id, source) not in strangers:
        return None
    return PlanProblem(
        "reference_not_ancestor",
        place,
        f"Action {action.id!r} reads {reference.text} but does not depend on {source!r}, directly or not",
        f"add {source!r} to the dependencies of {action.id!r}",
    )


def _outcome_problems(check: OutcomeValidation, place: str, known: Names) -> list[PlanProblem]:
    problems = []
    try:
        source = parse_reference(check.reference).action_id
    except ReferenceParseError as error:
        problems.append(PlanProblem("reference_syntax", f"{place}.reference", f"Not a reference: {error}"))
    else:
        if source not in known:
            message = f"{check.reference} reads action {source!r}, which is not in the plan"
            hint = known.nearest(source)
            problems.append(PlanProblem("reference_unknown_action", f"{place}.reference", message, hint))
    if has_endless_number(check.value):
        message = f"A number has more than {MAX_DIGITS} digits"
        problems.append(PlanProblem("invalid_value", f"{place}.value", message, "give it as text"))
    if check.operator == "matches":
        problems.extend(_pattern_problems(check, f"{place}.value"))
    return problems


def _pattern_problems(check: OutcomeValidation, place: str) -> list[PlanProblem]:
    if not isinstance(check.value, str):
        message = f"'matches' compares with a regular expression; found {kind_of(check.value)}"
        return [PlanProblem("invalid_pattern", place, message, "give the pattern as text")]
    try:
        matches(check.value, "")
    except SchemaError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        hint = "look-around and back-references are not available: patterns run in linear time"
        return [PlanProblem("invalid_pattern", place, f"Not a regular expression: {reason}", hint)]
    return []

"""Every problem of a plan, found at once and before anything is sent.

Two steps, as in the original: :func:`validate_execution_plan` checks the form (types, names, limits)
and builds the plan; :func:`validate_plan_logic` checks what the plan means (ids, graph, references,
conditions). :func:`prepare_plan` does both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic.alias_generators import to_snake
from pydantic_core import ErrorDetails

from workflow_state.arguments import checked
from workflow_state.collector import uncollected
from workflow_state.errors import PlanProblem, PlanValidationError
from workflow_state.hints import Names
from workflow_state.json_values import read_json
from workflow_state.models import ExecutionPlan, Model, PlannedAction
from workflow_state.plan_checks import find_errors
from workflow_state.plan_lint import find_warnings
from workflow_state.references import kind_of

#: How deep JSON in a plan may nest; bounded because plans come from outside.
MAX_DEPTH = 64

#: Fields whose values are a user's data.
_DATA = frozenset({"inputs", "fallbackValue", "fallback_value"})

#: Fields that take any JSON, and how many steps below the field it begins.
_ANY_JSON = {"inputs": 1, "fallbackValue": 0, "fallback_value": 0, "value": 0}

#: What pydantic names as Python does, for who writes JSON.
_EXPECTED = {"tuple_type": "a list", "dict_type": "an object", "model_type": "an object"}

_TWICE = "remove it: the field is given in both spellings"

#: The types of what holds nothing; to ask whether a text is a mapping takes longer.
_LEAVES = frozenset({str, int, float, bool, type(None)})

_ACTIONS = TypeAdapter(list[PlannedAction])
#: How many actions of a larger plan are built at once.
_SLICE = 1000

_CODES = {
    "missing": "missing_field",
    "extra_forbidden": "unknown_field",
    "json_invalid": "invalid_json",
    "recursion_loop": "too_deep",
}


@uncollected
def prepare_plan(data: object) -> ExecutionPlan:
    """A plan from JSON text, a mapping or an :class:`ExecutionPlan`, checked in form and logic.

    Raises:
        PlanValidationError: with every problem found.
    """
    plan = validate_execution_plan(data)
    if errors := find_errors(plan):
        raise PlanValidationError(errors)
    return plan


@uncollected
def validate_execution_plan(data: object) -> ExecutionPlan:
    """Check a plan's form and build it; camelCase and snake_case names are read alike.

    Args:
        data: JSON text or bytes, a mapping, or a plan (checked once more, and returned as it is).

    Raises:
        PlanValidationError: with every problem of form, each located.

    Example:
        >>> validate_execution_plan('{"actions": [{"id": "a", "actionDefinitionId": "mail.send"}]}').actions[0].id
        'a'
        >>> try:
        ...     validate_execution_plan({"actions": [{"id": "a"}], "nmae": "x"})
        ... except PlanValidationError as error:
        ...     print([(problem.code, problem.location) for problem in error.errors])
        [('missing_field', 'actions[0].actionDefinitionId'), ('unknown_field', 'nmae')]
    """
    if isinstance(data, ExecutionPlan):
        return _checked_again(data)
    parsed = isinstance(data, str | bytes | bytearray)
    if isinstance(data, str | bytes | bytearray):
        data = _parsed(data)
    if not isinstance(data, Mapping):
        found = type(data).__name__
        message = f"A plan is an object with a list of actions; found {found}"
        raise PlanValidationError([PlanProblem("not_an_object", "", message)])
    if too_deep := _depth_problem(data):
        raise PlanValidationError([too_deep])
    actions = data.get("actions")
    if parsed and isinstance(actions, list) and len(actions) > _SLICE:
        _build_in_place(actions)
    try:
        return ExecutionPlan.model_validate(data)
    except ValidationError as error:
        raise PlanValidationError(_form_problems(error)) from None


def _checked_again(plan: ExecutionPlan) -> ExecutionPlan:
    """The same plan where it is still valid: ``model_copy`` checks nothing, and what is in its inputs may change."""
    checked = validate_execution_plan(plan.model_dump(exclude_unset=True, warnings=False))
    return plan if checked == plan else checked


def _parsed(text: str | bytes | bytearray) -> Any:
    """What the JSON of a plan stands for; a name twice in an object would silently lose a value."""
    try:
        found, doubled = read_json(text)
    except (ValueError, RecursionError) as error:
        hint = "give the plan as JSON text, a dict or an ExecutionPlan"
        raise PlanValidationError([PlanProblem("invalid_json", "", f"The plan is not JSON: {error}", hint)]) from None
    if doubled:
        raise PlanValidationError(
            [
                PlanProblem(
                    "duplicate_name", _location(place), f"The name {_shorten(name)} is given twice", "remove one"
                )
                for place, name in doubled
            ]
        )
    return found


def _build_in_place(actions: list[Any]) -> None:
    """Turn what was parsed into actions a slice at a time: so not all of a large plan is held twice.

    A slice with a problem in it stays, so that all problems are found where all are looked for.
    """
    for start in range(0, len(actions), _SLICE):
        part = slice(start, start + _SLICE)
        with suppress(ValidationError):
            actions[part] = _ACTIONS.validate_python(actions[part])


@checked
def validate_plan_logic(plan: ExecutionPlan) -> list[PlanProblem]:
    """Check what a well-formed plan means; the warnings, if that is all there is to say.

    Raises:
        PlanValidationError: with every error. Warnings alone raise nothing.

    Example:
        >>> validate_plan_logic(plan)
        []
    """
    problems = find_plan_problems(plan)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise PlanValidationError(errors)
    return problems


@checked
def find_plan_problems(plan: ExecutionPlan) -> list[PlanProblem]:
    """The linter: all errors of a plan's logic, or, where it can run, warnings of what it may not mean.

    Example:
        >>> typo = validate_execution_plan({"actions": [
        ...     {"id": "fetch", "actionDefinitionId": "rates.fetch"},
        ...     {"id": "tell", "actionDefinitionId": "mail.send", "dependencies": ["fetsh"]},
        ... ]})
        >>> [(problem.code, problem.suggestion) for problem in find_plan_problems(typo)]
        [('unknown_dependency', "did you mean 'fetch'?")]
    """
    return find_errors(plan) or find_warnings(plan)


def _form_problems(error: ValidationError) -> list[PlanProblem]:
    names = {place: Names(fields) for place, fields in _FIELDS.items()}
    # Pydantic also counts what is left of a list when every item is bad: "too short" is then no news.
    return [
        _form_problem(e, names)
        for e in error.errors(include_url=False)
        if not (e["loc"] == ("actions",) and e["type"] == "too_short" and e["input"])
    ]


def _form_problem(error: ErrorDetails, names: Mapping[tuple[str, ...], Names]) -> PlanProblem:
    loc, kind, found = _without_kinds(error["loc"]), error["type"], error.get("input")
    location = _location(loc)
    code = _CODES.get(kind, "wrong_type" if kind.endswith("_type") else "invalid_value")
    if location == "actions" and kind in ("too_short", "missing"):
        return PlanProblem("no_actions", "actions", "A plan needs at least one action", "add an action")
    if kind == "string_pattern_mismatch" and location.endswith(".id"):
        message = f"The id {_shorten(found)} has characters that an id cannot have"
        hint = "use letters, digits and _ - . : and start with a letter, a digit or _"
        return PlanProblem("invalid_id", location, message, hint)
    if code == "unknown_field":
        hint = _misplaced(loc) or _misspelt(loc, names) or "remove it"
        message = "The field is given twice" if hint == _TWICE else "There is no such field in this place"
        return PlanProblem(code, location, message, hint)
    if kind == "string_type" and error["loc"][-1:] == ("[key]",):
        message = f"The names in an object are texts; found {kind_of(found)}"
        return PlanProblem(code, location, message, "put it in quotes")
    if code == "missing_field":
        return PlanProblem(code, location, error["msg"], "")
    expected = _EXPECTED.get(kind)
    message = f"Input should be {expected}" if expected else error["msg"]
    suggestion = _form_of(loc, kind) if expected else ""
    return PlanProblem(code, location, f"{message}; found {_shown(location, found)}", suggestion)


def _location(loc: tuple[int | str, ...]) -> str:
    location = ""
    for part in loc:
        location += f"[{part}]" if isinstance(part, int) else f"{'.' if location else ''}{part}"
    return location


def _without_kinds(loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Where a value is: pydantic puts the kind of each value between the steps into any JSON."""
    for at, part in enumerate(loc):
        if part in _ANY_JSON:
            start = at + 1 + _ANY_JSON[str(part)]
            return loc[:start] + loc[start + 1 :: 2]
    return loc


def _place_of(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    return tuple(to_snake(part) for part in loc if isinstance(part, str))


def _form_of(loc: tuple[int | str, ...], kind: str) -> str:
    """How to write what stands where a list or an object should."""
    if kind == "tuple_type":
        return "write [...], also for one or none"
    fields = [name for name in _FIELDS.get(_place_of(loc), ()) if "_" not in name]
    return f"write {{...}}, with fields such as {', '.join(map(repr, fields[:4]))}" if fields else "write {...}"


def _misspelt(loc: tuple[int | str, ...], names: Mapping[tuple[str, ...], Names]) -> str:
    """The field that may have been meant, of those in this place, or else of another, and where that one belongs."""
    *outer, name = loc
    place = _place_of(tuple(outer))
    if here := names[place].nearest(str(name)):
        return here
    for elsewhere, fields in names.items():
        if there := fields.nearest(str(name)):
            return f"{there.removesuffix('?')}, which belongs to {_shown_place(elsewhere)}?"
    return ""


def _misplaced(loc: tuple[int | str, ...]) -> str:
    """What to do with a field that a plan has, elsewhere or in its other spelling; "": it has none of that name."""
    *outer, name = loc
    place = _place_of(tuple(outer))
    holders = [holder for holder, fields in _FIELDS.items() if name in fields]
    if place in holders:
        return _TWICE
    return f"it belongs to {' or '.join(map(_shown_place, holders))}" if holders else ""


def _shown_place(place: tuple[str, ...]) -> str:
    owner = "an action" if place[:1] == ("actions",) else "the plan"
    return " of ".join([*(repr(name) for name in reversed(place) if name != "actions"), owner])


def _depth_problem(data: Mapping[Any, Any]) -> PlanProblem | None:
    layer: list[Any] = [data]
    for _ in range(MAX_DEPTH):
        layer = [
            child
            for item in layer
            for child in (item.values() if isinstance(item, Mapping) else item)
            if type(child) not in _LEAVES and isinstance(child, Mapping | list | tuple)
        ]
        if not layer:
            return None
    return PlanProblem("too_deep", "", f"The plan nests deeper than {MAX_DEPTH} levels", "flatten its inputs")


def _shown(location: str, value: object) -> str:
    """A value that is not valid: only its kind where data stands, which may be secret."""
    if isinstance(value, Mapping | list | tuple) or not _DATA.isdisjoint(re.split(r"[.\[]", location)):
        return kind_of(value)
    return _shorten(value)


def _shorten(value: object) -> str:
    try:
        shown = repr(value)
    except ValueError:
        # Python does not write out integers of more than some thousand digits.
        shown = f"a {type(value).__name__} too large to show"
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _fields_of(model: type[Model], place: tuple[str, ...] = ()) -> dict[tuple[str, ...], list[str]]:
    """The names of a model's fields, in both spellings, and of those of models in it, by where they are."""
    found: dict[tuple[str, ...], list[str]] = {place: []}
    for name, field in model.model_fields.items():
        found[place] += dict.fromkeys((name, str(field.validation_alias or name)))
        for inner in _models_in(field.annotation):
            found |= _fields_of(inner, (*place, name))
    return found


def _models_in(annotation: Any) -> list[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


#: What an unknown field may have meant.
_FIELDS = _fields_of(ExecutionPlan)

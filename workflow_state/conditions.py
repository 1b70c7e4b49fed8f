"""Conditions: whether an action runs, decided by a boolean expression over references.

Evaluation walks the parsed tree (see :mod:`workflow_state.condition_syntax` for the grammar) and looks
at JSON values only; Python's ``eval`` and operators of user types are never reached.

The rules: what a reference does not find, default included, is missing, which is false, equal to
nothing (not even null), in nothing, and neither less nor more than anything. null, false, 0, "", []
and {} are false as well. ``==`` compares JSON values at any depth, numbers by value, and a boolean is
not a number. Only two numbers or two texts have an order. ``in`` looks for a value in a list, a text in
a text, or a key in an object.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pydantic import JsonValue

from workflow_state.condition_syntax import (
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_TOKENS,
    And,
    Comparison,
    Constant,
    Expression,
    Node,
    Not,
    Or,
    Read,
    parse_condition,
)
from workflow_state.errors import ConditionEvaluationError
from workflow_state.references import Missing, Outcome, Reference, found_instead, kind_of, look_up_or_default

__all__ = [
    "MAX_DEPTH",
    "MAX_LENGTH",
    "MAX_TOKENS",
    "MAX_VALUES_COMPARED",
    "MAX_VALUES_SHOWN",
    "MAX_VALUE_DEPTH",
    "MAX_VALUE_SHOWN",
    "Expression",
    "describe",
    "evaluate",
    "json_equal",
    "parse_condition",
    "static_value",
]

#: How deep ``==`` and ``in`` look into values.
MAX_VALUE_DEPTH: Final = 100
#: How many values all comparisons of one condition look at together. More than one result can hold, by default.
MAX_VALUES_COMPARED: Final = 10_000_000
#: How many values :func:`describe` shows, and about how many characters of each.
MAX_VALUES_SHOWN: Final = 10
MAX_VALUE_SHOWN: Final = 80

_ORDERINGS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
#: A value that is not JSON, which only in-process code could hand over, is shown rather than refused.
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, default=repr)


def evaluate(expression: Expression, outcomes: Mapping[str, Outcome]) -> bool:
    """Whether a condition holds.

    Args:
        expression: what :func:`parse_condition` returned.
        outcomes: what is known of the actions, by action id.

    Raises:
        ConditionEvaluationError: it orders values, or searches in one, whose types do not go together,
            or compares values that nest deeper than :data:`MAX_VALUE_DEPTH`, or more of them than
            :data:`MAX_VALUES_COMPARED`.
    """
    return _holds(expression.root, outcomes, _Effort(MAX_VALUES_COMPARED))


def describe(expression: Expression, outcomes: Mapping[str, Outcome]) -> str:
    """The condition, how it came out, and what its references found: the reason of a skip.

    ``${check.output.userType} == 'premium' is false (${check.output.userType} = "basic")``. A condition
    that cannot be evaluated is described as that; nothing is raised.
    """
    try:
        verdict = "is true" if evaluate(expression, outcomes) else "is false"
    except ConditionEvaluationError:
        verdict = "cannot be evaluated"
    findings = list(dict.fromkeys(_finding(reference, outcomes) for reference in expression.references))
    if len(findings) > MAX_VALUES_SHOWN:
        findings[MAX_VALUES_SHOWN:] = [f"… and {len(findings) - MAX_VALUES_SHOWN} more"]
    shown = f" ({', '.join(findings)})" if findings else ""
    return f"{expression.text} {verdict}{shown}"


def static_value(expression: Expression) -> bool | None:
    """The value of a condition that is the same whatever its references find, else None.

    Looks no further than a reader would: at comparisons without references, and at ``and`` and ``or``
    that one side decides. A comparison that can only fail counts as None.
    """
    return _static(expression.root)


def json_equal(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal: ``==`` of conditions. What is missing equals nothing, nor itself.

    Raises:
        ConditionEvaluationError: they nest deeper than :data:`MAX_VALUE_DEPTH`.
    """
    return _equal(left, right, _Effort(math.inf))


class _Effort:
    """How many values may still be compared: a plan from outside must not keep a worker at its conditions."""

    def __init__(self, left: float) -> None:
        self._left = left

    def spend(self) -> None:
        """Count one value; raises ``ConditionEvaluationError`` when there were too many."""
        self._left -= 1
        if self._left < 0:
            raise ConditionEvaluationError(
                f"A condition compares at most {MAX_VALUES_COMPARED} values: let an action look for what it is about"
            )


def _equal(left: Any, right: Any, effort: _Effort) -> bool:
    stack: list[Iterator[tuple[Any, Any]]] = [iter([(left, right)])]
    while stack:
        pair = next(stack[-1], None)
        if pair is None:
            stack.pop()
            continue
        effort.spend()
        one, other = pair
        if kind_of(one) != kind_of(other) or isinstance(one, Missing):
            return False
        if isinstance(one, list):
            if len(one) != len(other):
                return False
            stack.append(zip(one, other, strict=True))
        elif isinstance(one, dict):
            if one.keys() != other.keys():
                return False
            stack.append(zip(one.values(), map(other.__getitem__, one), strict=True))
        elif one != other:
            return False
        if len(stack) > MAX_VALUE_DEPTH + 1:
            message = f"Cannot compare values that nest deeper than {MAX_VALUE_DEPTH} levels"
            raise ConditionEvaluationError(message)
    return True


def _holds(node: Node, outcomes: Mapping[str, Outcome], effort: _Effort) -> bool:
    match node:
        case And(operands):
            return all(_holds(operand, outcomes, effort) for operand in operands)
        case Or(operands):
            return any(_holds(operand, outcomes, effort) for operand in operands)
        case Not(operand):
            return not _holds(operand, outcomes, effort)
        case Comparison():
            return _compare(node, _value(node.left, outcomes, effort), _value(node.right, outcomes, effort), effort)
        case _:
            return bool(_value(node, outcomes, effort))


def _value(node: Node, outcomes: Mapping[str, Outcome], effort: _Effort) -> JsonValue | Missing:
    match node:
        case Constant(value):
            return value
        case Read(reference):
            return look_up_or_default(reference, outcomes)
        case _:
            return _holds(node, outcomes, effort)


def _compare(node: Comparison, left: Any, right: Any, effort: _Effort) -> bool:
    missing = isinstance(left, Missing) or isinstance(right, Missing)
    match node.operator:
        case "==":
            return _equal(left, right, effort)
        case "!=":
            return not _equal(left, right, effort)
        case "in":
            return not missing and _contains(node, left, right, effort)
        case "not in":
            return missing or not _contains(node, left, right, effort)
        case _:
            return not missing and _ordered(node, left, right)


def _ordered(node: Comparison, left: Any, right: Any) -> bool:
    kind = kind_of(left)
    if kind != kind_of(right) or kind not in ("a number", "a text"):
        raise _mismatch(node, left, right, "only two numbers or two texts have an order")
    return _ORDERINGS[node.operator](left, right)


def _contains(node: Comparison, item: Any, container: Any, effort: _Effort) -> bool:
    if isinstance(container, list):
        return any(_equal(item, other, effort) for other in container)
    if isinstance(container, str | dict) and isinstance(item, str):
        return item in container
    rule = "'in' looks for a value in a list, a text in a text or a key in an object"
    raise _mismatch(node, item, container, rule)


def _mismatch(node: Comparison, left: Any, right: Any, rule: str) -> ConditionEvaluationError:
    one = f"{_named(node.left, left)} is {kind_of(left)}"
    other = f"{_named(node.right, right)} is {kind_of(right)}"
    return ConditionEvaluationError(f"Cannot evaluate {node.operator!r}: {one} and {other}, but {rule}")


def _named(node: Node, value: Any) -> str:
    return f"{node.reference.text} = {_shorten(value)}" if isinstance(node, Read) else _shorten(value)


def _finding(reference: Reference, outcomes: Mapping[str, Outcome]) -> str:
    value = look_up_or_default(reference, outcomes)
    if isinstance(value, Missing):
        return f"{reference.text} finds nothing: {_cut(found_instead(reference, outcomes))}"
    return f"{reference.text} = {_shorten(value)}"


def _shorten(value: Any) -> str:
    """The value as JSON, cut; encodes no more of a large value than is shown."""
    shown = ""
    for chunk in _ENCODER.iterencode(value[: MAX_VALUE_SHOWN + 1] if isinstance(value, str) else value):
        shown += chunk
        if len(shown) > MAX_VALUE_SHOWN:
            break
    return _cut(shown)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_VALUE_SHOWN else text[: MAX_VALUE_SHOWN - 1] + "…"


def _static(node: Node) -> bool | None:
    match node:
        case And(operands):
            known = {_static(operand) for operand in operands}
            return False if False in known else None if None in known else True
        case Or(operands):
            known = {_static(operand) for operand in operands}
            return True if True in known else None if None in known else False
        case Not(operand):
            inner = _static(operand)
            return None if inner is None else not inner
    if _reads(node):
        return None
    try:
        return _holds(node, {}, _Effort(MAX_VALUES_COMPARED))
    except ConditionEvaluationError:
        return None


def _reads(node: Node) -> bool:
    match node:
        case Read():
            return True
        case Comparison(left, _, right):
            return _reads(left) or _reads(right)
        case And(operands) | Or(operands):
            return any(_reads(operand) for operand in operands)
        case Not(operand):
            return _reads(operand)
        case _:
            return False

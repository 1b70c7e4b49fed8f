"""References: how one action reads what another left behind.

``${fetch.output.users[0].name}`` reads from an action's output, ``${fetch.status}`` its status,
``${fetch.error.message}`` its error. A value that is one reference keeps the type of what it names; inside longer text
it is rendered (text as it is, anything else as JSON). ``${a.output.n ?? 0}`` gives a JSON default (text in single
quotes works too) for when nothing, or null, is found. ``$${`` stands for a literal ``${``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal

from pydantic import JsonValue

from workflow_state.arguments import checked
from workflow_state.budget import Budget
from workflow_state.errors import ReferenceNotFoundError, ReferenceParseError


class Missing(Enum):
    """The type of :data:`MISSING`: nothing is there, which is not the same as null."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing.MISSING
Root = Literal["output", "status", "error"]
_KINDS: Final[Mapping[type, str]] = {
    type(None): "null",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
}

_HEAD = re.compile(r"\s*(?P<id>[A-Za-z0-9_][A-Za-z0-9_.:\-]*?)\.(?P<root>output|status|error)(?![\w:\-])")
_STEP = re.compile(
    r"""\.(?P<name>\w[\w\-]*) | \[\s*(?P<index>-?\d{1,9})\s*\]
      | \[\s*(?P<key>"(?:[^"\\]|\\.)*"|'[^'\\]*')\s*\]""",
    re.VERBOSE,
)
_OPEN = re.compile(r"\$\$\{|\$\{")
#: How deep a default may nest: plans come from outside, and what reads the value may recurse.
MAX_DEFAULT_DEPTH: Final = 64


@dataclass(frozen=True, slots=True)
class Reference:
    """One parsed reference. ``path``: keys and indices below the root; ``text``: as it was written.

    Example:
        >>> reference = parse_reference("${fetch.error.message ?? 'none'}")
        >>> reference.action_id, reference.root, reference.path, reference.default
        ('fetch', 'error', ('message',), 'none')
    """

    action_id: str
    root: Root
    path: tuple[str | int, ...]
    default: JsonValue | Missing
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What references can see of an action: its status, and its output and error where it has them.

    Example:
        >>> resolve_reference("${a.status}", {"a": Outcome(status="skipped", reason="condition not met")})
        'skipped'
    """

    status: str
    output: JsonValue | Missing = MISSING
    error: Mapping[str, JsonValue] | None = None
    reason: str = ""


@checked
def parse_reference(text: str) -> Reference:
    """Parse one reference, with or without its ``${`` and ``}``.

    Raises:
        ReferenceParseError: with the position of what could not be read.

    Example:
        >>> parse_reference("${fetch.output.users[0].name ?? 'nobody'}").path
        ('users', 0, 'name')
    """
    if text.startswith("${"):
        reference, end = parse_reference_at(text, 0)
    else:
        reference, end = _parse_inner(text, 0)
    if end != len(text):
        raise _problem(text, end, f"unexpected {text[end : end + 20]!r} after the reference")
    return reference


def parse_reference_at(text: str, start: int) -> tuple[Reference, int]:
    """Parse the reference whose ``${`` is at ``start`` of a longer text.

    Returns:
        The reference, and the position after its ``}``.

    Raises:
        ReferenceParseError: with the position in ``text`` of what could not be read.
    """
    reference, end = _parse_inner(text, start + 2)
    if not text.startswith("}", end):
        raise _problem(text, end, "expected '}' to close the reference")
    return reference, end + 1


def _parse_inner(text: str, start: int) -> tuple[Reference, int]:
    """Parse what stands between ``${`` and ``}``; returns it and where it ends, trailing blanks included."""
    head = _HEAD.match(text, start)
    if head is None:
        expected = "<action id>.output, .status or .error (for a literal '${' write '$${')"
        raise _problem(text, start, f"expected {expected}")
    end = head.end()
    path: list[str | int] = []
    while step := _STEP.match(text, end):
        if step["name"] is not None:
            path.append(step["name"])
        elif step["index"] is not None:
            path.append(int(step["index"]))
        else:
            path.append(_quoted(text, step.start("key"), step["key"]))
        end = step.end()
    if head["root"] == "status" and path:
        raise _problem(text, head.end(), "a status has no fields")
    written = text[start:end].strip()
    end = _skip_blanks(text, end)
    default: JsonValue | Missing = MISSING
    if text.startswith("??", end):
        default, end = _parse_default(text, end + 2)
    root: Any = head["root"]
    return Reference(head["id"], root, tuple(path), default, f"${{{written}}}"), end


def _parse_default(text: str, start: int) -> tuple[JsonValue, int]:
    start = _skip_blanks(text, start)
    if text.startswith("'", start):
        close = text.find("'", start + 1)
        if close < 0:
            raise _problem(text, start, "the default's quote is not closed")
        return text[start + 1 : close], _skip_blanks(text, close + 1)
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        raise _problem(text, start, "expected a JSON value or 'text' after '??'") from None
    if _too_deep(value):
        raise _problem(text, start, f"the default nests deeper than {MAX_DEFAULT_DEPTH} levels")
    return value, _skip_blanks(text, end)


def _too_deep(value: JsonValue) -> bool:
    layer: list[JsonValue] = [value]
    for _ in range(MAX_DEFAULT_DEPTH):
        containers = [item for item in layer if isinstance(item, dict | list)]
        if not containers:
            return False
        layer = [c for item in containers for c in (item.values() if isinstance(item, dict) else item)]
    return any(isinstance(item, dict | list) for item in layer)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits} is too large")
    return number


#: Python's own decoder reads NaN and Infinity, and 1e999 as infinity, which JSON cannot write.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def split_template(text: str) -> list[str | Reference]:
    """Split text into literal pieces and references, ``$${`` already turned into ``${``.

    Raises:
        ReferenceParseError: for a ``${`` that is not closed or not a reference.
    """
    pieces: list[str | Reference] = []
    literal: list[str] = []
    at = 0
    while found := _OPEN.search(text, at):
        literal.append(text[at : found.start()])
        if found.group() == "$${":
            literal.append("${")
            at = found.end()
            continue
        reference, at = parse_reference_at(text, found.start())
        if any(literal):
            pieces.append("".join(literal))
        literal = []
        pieces.append(reference)
    literal.append(text[at:])
    if any(literal):
        pieces.append("".join(literal))
    return pieces


def iter_strings(value: JsonValue, location: str = "") -> Iterator[tuple[str, str]]:
    """Every text anywhere in a JSON value, with its location such as ``inputs.items[2].name``."""
    stack: list[tuple[str, JsonValue]] = [(location, value)]
    while stack:
        place, item = stack.pop()
        if isinstance(item, str):
            yield place, item
        elif isinstance(item, dict):
            stack.extend((f"{place}.{key}" if place else key, child) for key, child in reversed(item.items()))
        elif isinstance(item, list):
            stack.extend((f"{place}[{n}]", child) for n, child in reversed(list(enumerate(item))))


def find_references(value: JsonValue) -> list[Reference]:
    """All references anywhere in a JSON value, in order of appearance.

    Raises:
        ReferenceParseError: a text holds something that looks like a reference and is none.
    """
    return [
        piece
        for _, text in iter_strings(value)
        if "${" in text
        for piece in split_template(text)
        if isinstance(piece, Reference)
    ]


def look_up(reference: Reference, outcomes: Mapping[str, Outcome]) -> JsonValue | Missing:
    """What a reference names, or :data:`MISSING`; its default is not applied here."""
    outcome = outcomes.get(reference.action_id)
    if outcome is None:
        return MISSING
    found = _root_value(outcome, reference.root)
    for step in reference.path:
        found = _descend(found, step)
    return found


def look_up_or_default(reference: Reference, outcomes: Mapping[str, Outcome]) -> JsonValue | Missing:
    """What a reference names; its default, if it has one, when that is nothing or null."""
    found = look_up(reference, outcomes)
    if (found is None or isinstance(found, Missing)) and not isinstance(reference.default, Missing):
        return reference.default
    return found


def resolve_reference(reference: Reference | str, outcomes: Mapping[str, Outcome]) -> JsonValue:
    """The value that a reference names, in its own type.

    Args:
        reference: parsed, or text such as ``${fetch.output.id}``.
        outcomes: what is known of the actions, by action id.

    Raises:
        ReferenceParseError: the text is not a reference.
        ReferenceNotFoundError: nothing is there and no default was written.

    Example:
        >>> resolve_reference("${fetch.output.GBP ?? 0}", {"fetch": Outcome(status="completed", output={"USD": 1.1})})
        0
    """
    if not isinstance(reference, Reference):
        reference = parse_reference(reference)
    if isinstance(found := look_up_or_default(reference, outcomes), Missing):
        raise ReferenceNotFoundError(explain_missing(reference, outcomes))
    return found


def resolve_value(value: JsonValue, outcomes: Mapping[str, Outcome], budget: Budget | None = None) -> JsonValue:
    """A JSON value with all references in it resolved; raises as :func:`resolve_reference`.

    With a budget, what references bring in is counted, and ``InputTooLargeError`` raised when it is spent.
    """
    if isinstance(value, str):
        return _resolve_text(value, outcomes, budget) if "${" in value else value
    if isinstance(value, dict):
        return {key: resolve_value(item, outcomes, budget) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve_value(item, outcomes, budget) for item in value]
    return value


def explain_missing(reference: Reference, outcomes: Mapping[str, Outcome]) -> str:
    """That a reference finds nothing, and why (see :func:`found_instead`): one sentence for an error."""
    return f"Reference {reference.text} finds nothing: {found_instead(reference, outcomes)}"


def found_instead(reference: Reference, outcomes: Mapping[str, Outcome]) -> str:
    """What was there instead of what a reference names, such as ``action 'fetch' was skipped (…)``."""
    action = f"action {reference.action_id!r}"
    outcome = outcomes.get(reference.action_id)
    if outcome is None or outcome.status in ("pending", "running"):
        return f"{action} has not ended"
    if outcome.status == "skipped":
        return f"{action} was skipped ({outcome.reason or 'no reason kept'})"
    if (found := _root_value(outcome, reference.root)) is MISSING:
        if reference.root == "output" and outcome.status == "failed":
            return f"{action} failed ({(outcome.error or {}).get('message', 'no error kept')})"
        return f"{action} has no {reference.root}"
    walked = f"{reference.action_id}.{reference.root}"
    for step in reference.path:
        deeper = _descend(found, step)
        if deeper is MISSING:
            return f"{walked} is {_describe(found)}"
        walked += f"[{step}]" if isinstance(step, int) else f".{step}"
        found = deeper
    return f"{walked} is {_describe(found)}"


def kind_of(value: object) -> str:
    """What kind of JSON a value is, for messages: ``null``, ``a boolean``, ``a number``, ``a text``…"""
    if isinstance(value, bool):
        return "a boolean"
    return _KINDS.get(type(value), f"a {type(value).__name__}")


def _resolve_text(text: str, outcomes: Mapping[str, Outcome], budget: Budget | None) -> JsonValue:
    values: list[JsonValue] = []
    pieces = split_template(text)
    for piece in pieces:
        values.append(piece if isinstance(piece, str) else resolve_reference(piece, outcomes))
        if budget is not None:
            budget.spend(values[-1])
    if len(pieces) == 1 and isinstance(pieces[0], Reference):
        return values[0]
    return "".join(map(_render, values))


def _render(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _root_value(outcome: Outcome, root: Root) -> JsonValue | Missing:
    if root == "status":
        return outcome.status
    if root == "output":
        return outcome.output
    return MISSING if outcome.error is None else dict(outcome.error)


def _descend(found: JsonValue | Missing, step: str | int) -> JsonValue | Missing:
    if isinstance(found, dict):
        return found.get(str(step), MISSING)
    # Nine digits as in brackets: int() refuses texts of thousands of digits with an error of its own.
    if isinstance(found, list) and (isinstance(step, int) or (step.isdecimal() and len(step) <= 9)):
        index = int(step)
        return found[index] if -len(found) <= index < len(found) else MISSING
    return MISSING


def _describe(found: JsonValue | Missing) -> str:
    if isinstance(found, dict):
        keys = ", ".join(list(found)[:10])
        return f"an object with {f'the fields {keys}' if keys else 'no fields'}"
    if isinstance(found, list):
        return f"a list of {len(found)}"
    return kind_of(found)


def _quoted(text: str, start: int, key: str) -> str:
    if key.startswith("'"):
        return key[1:-1]
    try:
        name: str = json.loads(key)
    except ValueError:
        raise _problem(text, start, "the key in brackets is not a JSON text") from None
    return name


def _skip_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _problem(text: str, position: int, message: str) -> ReferenceParseError:
    shown = text if len(text) <= 80 else text[:77] + "..."
    return ReferenceParseError(f"{message}, at position {position} of {shown!r}", text, position)

"""What JSON, and Celery's way of reading it, can give back as it was.

Outputs, fallbacks and error contexts travel through a result backend and in messages. What would be
read back as something else, or not at all, is refused where it appears: later it would make a whole
execution unreadable.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from pydantic import JsonValue

#: How deep a value may nest: what reads it may recurse.
MAX_DEPTH: Final = 64
#: How many digits an integer may have: Python reads and writes no more.
MAX_DIGITS: Final = 4300
_TOO_LARGE: Final = 10**MAX_DIGITS
#: Celery's JSON reads an object of exactly these keys as a value of a Python type.
_CODEC_KEYS: Final = {"__type__", "__value__"}
_CODEC_PROBLEM: Final = "an object with the keys __type__ and __value__ alone has a meaning of its own for Celery"


class _Doubled(dict[str, Any]):
    """An object whose text had a name twice."""

    name: str


def read_json(text: str | bytes | bytearray) -> tuple[Any, list[tuple[tuple[int | str, ...], str]]]:
    """What a JSON text stands for, and what it loses: where an object has a name twice, only the last value is read.

    Returns:
        The value, and for each such object the steps to it from the outside and a name that it has twice.

    Raises:
        ValueError, RecursionError: it is not JSON, or nests too deep.
    """
    doubled: list[_Doubled] = []

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        kept = _Doubled(found)
        kept.name = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        doubled.append(kept)
        return kept

    value = json.loads(text, object_pairs_hook=build)
    return value, _places_of_doubled(value) if doubled else []


def _places_of_doubled(value: Any) -> list[tuple[tuple[int | str, ...], str]]:
    """In the order in which they stand in the text."""
    found: list[tuple[tuple[int | str, ...], str]] = []
    stack: list[tuple[tuple[int | str, ...], Any]] = [((), value)]
    while stack:
        place, item = stack.pop()
        if isinstance(item, _Doubled):
            found.append((place, item.name))
        inner: Iterable[tuple[int | str, Any]]
        inner = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
        stack.extend(reversed([((*place, step), child) for step, child in inner]))
    return found


def problem_in(value: JsonValue) -> str:
    """Why a value of JSON types cannot be kept as JSON; "" when it can."""
    layer: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        deeper: list[Any] = []
        for item in layer:
            if isinstance(item, str):
                if not item.isascii() and not is_text(item):
                    return "a text has half of a surrogate pair"
            elif isinstance(item, float):
                if not math.isfinite(item):
                    return f"{item} is no JSON number"
            elif isinstance(item, int):
                if abs(item) >= _TOO_LARGE:
                    return f"a number has more than {MAX_DIGITS} digits"
            elif isinstance(item, dict):
                if item.keys() == _CODEC_KEYS:
                    return _CODEC_PROBLEM
                deeper.extend(item)
                deeper.extend(item.values())
            elif isinstance(item, list):
                deeper.extend(item)
        if not deeper:
            return ""
        layer = deeper
    return f"it nests deeper than {MAX_DEPTH} levels"


def problem_in_message(body: JsonValue) -> str:
    """Why what holds a value cannot go on in one of Celery's messages, "" when it can.

    The value nests too deep, or there is an object that the receiver would not read as one.
    """
    layer: list[Any] = [body]
    # The body is a level of its own.
    for _ in range(MAX_DEPTH + 2):
        if any(isinstance(item, dict) and item.keys() == _CODEC_KEYS for item in layer):
            return _CODEC_PROBLEM
        inner = [item.values() if isinstance(item, dict) else item for item in layer if isinstance(item, dict | list)]
        if not inner:
            return ""
        layer = [item for items in inner for item in items]
    return f"it nests deeper than {MAX_DEPTH} levels"


def has_endless_number(value: JsonValue) -> bool:
    """Whether an integer anywhere in a value has more than :data:`MAX_DIGITS` digits."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, int):
            if abs(item) >= _TOO_LARGE:
                return True
        elif isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return False


def is_text(text: str) -> bool:
    """Whether a text can be written as UTF-8: Python's may hold halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

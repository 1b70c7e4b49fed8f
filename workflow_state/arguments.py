"""What a caller gives: an argument of a wrong type is refused by its name, before anything is done.

Only the outermost type is looked at: what is in a list or an object is told where it is read.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import wraps
from types import UnionType
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)
E = TypeVar("E", bound=StrEnum)

#: To Python the one is a number and the others are sequences: given for these, it is a mistake.
_NO_STAND_INS: Final = (bool, str, bytes)
#: Characters of a value that a message shows, and the size of an integer that can always be written out.
_WIDTH: Final = 60
_BITS: Final = 200
#: How kinds are called in messages.
_NAMES: Final = {str: "a text", int: "a whole number", float: "a number", bool: "True or False", type(None): "None"}


def checked(function: F) -> F:
    """Decorator: a call whose arguments have types that the annotations do not name is a ``TypeError``."""
    signature = inspect.signature(function)
    kinds: dict[str, tuple[type, ...]] | None = None

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal kinds
        if kinds is None:
            # At the first call: a class may be named in annotations before it is there.
            kinds = {name: _kinds(hint) for name, hint in get_type_hints(function).items()}
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            if name in kinds and not _fits(value, kinds[name]):
                expected = " or ".join(dict.fromkeys(_NAMES.get(kind, kind.__name__) for kind in kinds[name]))
                raise TypeError(f"{function.__qualname__}: {name} is {_shown(value, kinds[name])}; expected {expected}")
        return function(*args, **kwargs)

    return call  # type: ignore[return-value] # it has the function's signature


def checked_methods(cls: C) -> C:
    """Decorator of a class: :func:`checked` for how it is made and for its public methods."""
    for name, found in list(vars(cls).items()):
        if inspect.isfunction(found) and (name == "__init__" or not name.startswith("_")):
            setattr(cls, name, checked(found))
    return cls


def member_of(kind: type[E], given: str) -> E:
    """What a text names of a kind; raises ``ValueError`` with all that it could be."""
    try:
        return kind(given)
    except ValueError:
        raise ValueError(f"{given!r} is not a valid {kind.__name__}; expected one of {', '.join(kind)}") from None


def number_within(given: Any, least: float, most: float, what: str) -> float:
    """A number, or the nearer end where it is outside; raises ``ValueError`` for what is none. ``what``: its name."""
    try:
        found = float(given)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if math.isnan(found):
        raise ValueError(f"{what} is {_shown(given, ())}; expected a number from {least:g} to {most:g}")
    return min(max(found, least), most)


def _kinds(hint: Any) -> tuple[type, ...]:
    if hint is Any or isinstance(hint, TypeVar):
        return (object,)
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return tuple(kind for part in get_args(hint) for kind in _kinds(part))
    if origin is Literal:
        return tuple(type(value) for value in get_args(hint))
    kind: type = origin or hint
    return (kind,)


def _fits(value: object, kinds: tuple[type, ...]) -> bool:
    if isinstance(value, _NO_STAND_INS):
        return object in kinds or any(isinstance(value, kind) for kind in _NO_STAND_INS if kind in kinds)
    if isinstance(value, float) and math.isnan(value):
        return object in kinds
    return isinstance(value, kinds) or (float in kinds and isinstance(value, int))


def _shown(value: object, kinds: tuple[type, ...]) -> str:
    """A small value as it is; what stands for an object, as its JSON text, may hold secrets."""
    small = value.bit_length() < _BITS if isinstance(value, int) else isinstance(value, str | bytes | float | None)
    if not small or Mapping in kinds:
        return f"of type {type(value).__name__}"
    shown = repr(value)
    return shown if len(shown) <= _WIDTH else shown[: _WIDTH - 3] + "..."

"""Hints at what a misspelt name may have meant, at a bounded cost: names come from outside."""

from __future__ import annotations

import bisect
import difflib
from collections.abc import Iterable
from functools import cached_property
from typing import Final

#: How many hints one check gives: no reader follows more, and a plan may misspell any number of names.
MAX_HINTS: Final = 20
#: Longer names get no hint: comparing two names takes the square of their length.
MAX_LENGTH: Final = 64
#: How many names before and behind in alphabetical order, read from either end, are compared.
NEIGHBOURS: Final = 5


class Names:
    """Names that are known, and up to :data:`MAX_HINTS` hints at them."""

    def __init__(self, known: Iterable[str]) -> None:
        self._known = frozenset(known)
        self._left = MAX_HINTS

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def nearest(self, name: str) -> str:
        """A hint such as ``did you mean 'fetch'?``, or ""."""
        if self._left == 0 or len(name) > MAX_LENGTH:
            return ""
        self._left -= 1
        # A misspelt name shares its beginning or its end with the one that was meant.
        alike = [*_around(self._forward, name), *(other[::-1] for other in _around(self._backward, name[::-1]))]
        found = difflib.get_close_matches(name, [other for other in alike if len(other) <= MAX_LENGTH], n=1)
        return f"did you mean {found[0]!r}?" if found else ""

    @cached_property
    def _forward(self) -> list[str]:
        return sorted(self._known)

    @cached_property
    def _backward(self) -> list[str]:
        return sorted(name[::-1] for name in self._known)


def nearest(name: str, known: Iterable[str]) -> str:
    """One hint such as ``did you mean 'fetch'?``, or ""."""
    return Names(known).nearest(name)


def _around(names: list[str], name: str) -> list[str]:
    at = bisect.bisect_left(names, name)
    return names[max(0, at - NEIGHBOURS) : at + NEIGHBOURS]

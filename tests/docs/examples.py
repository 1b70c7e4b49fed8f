"""The examples in the docstrings of public names."""

from __future__ import annotations

import doctest
import inspect
from functools import reduce
from typing import Any

import workflow_state
from workflow_state import settings, testing

#: Names of types and values, which have no docstring of their own, and the page of the reference with their example.
WITHOUT_DOCSTRING = {"registry": "actions.md", "Event": "events.md", "Answer": "remote.md"}
MODULES = {"settings": settings, "testing": testing}


def named(name: str) -> Any:
    """A public thing, by its name in the package."""
    first, *rest = name.split(".")
    return reduce(getattr, rest, MODULES.get(first) or getattr(workflow_state, first))


def examples_of(name: str) -> list[doctest.Example]:
    """The examples in a name's docstring."""
    return doctest.DocTestParser().get_examples(inspect.getdoc(named(name)) or "", name)

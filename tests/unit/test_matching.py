"""Regular expressions from outside: what they match, and that none of them can stall a worker."""

from __future__ import annotations

import time

import pytest
from pydantic_core import SchemaError

from workflow_state.matching import matches

#: Each takes exponential or polynomial time where an engine backtracks.
CATASTROPHIC = [
    "^(a+)+$",
    "^(a|a)*$",
    "^(a|aa)+$",
    "(.*a){20}b",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
    "(x+x+)+y",
    "a*a*a*a*a*b",
]


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("b", "abc", True),
        ("^b", "abc", False),
        ("^a.c$", "abc", True),
        (r"\d{3}", "order 123", True),
        (r"^\d+$", "12a", False),
        ("(?i)ORDER", "order", True),
        ("", "anything", True),
        ("^$", "", True),
        ("^b$", "a\nb", False),
        ("(?m)^b$", "a\nb", True),
        ("ä|ö", "schön", True),
        (r"\w", "é", True),
        ("😀+", "so 😀😀", True),
        (r"^[A-Z]{3}-\d{4,6}$", "ABC-12345", True),
    ],
)
def test_what_matches(pattern: str, text: str, expected: bool) -> None:
    """A pattern is found anywhere in the text, unless it says where."""
    assert matches(pattern, text) is expected


@pytest.mark.parametrize("pattern", CATASTROPHIC)
def test_a_catastrophic_pattern_returns_quickly(pattern: str) -> None:
    """Time grows with the text, whatever the pattern: 100,000 characters take no second of the processor."""
    text = "a" * 100_000 + "!"
    matches(pattern, "")
    began = time.process_time()
    matches(pattern, text)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "pattern", ["(", "[", "*", "(?=a)a", "(?<!a)b", r"(a)\1", "a{2,1}", "((a{100}){100}){100}", "\\"]
)
def test_what_is_no_pattern(pattern: str) -> None:
    """What is no expression, looks around, refers back or has no measure is refused, not guessed."""
    with pytest.raises(SchemaError):
        matches(pattern, "a")


def test_half_a_character() -> None:
    """A text that is not Unicode matches nothing, and harms nobody."""
    assert matches(".", "\ud800") is False

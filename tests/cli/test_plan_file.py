"""YAML as JSON would have it: no surprises from what YAML 1.1 makes of plain text, and nothing that runs code."""

from __future__ import annotations

from typing import Any

import pytest

from workflow_state import PlanValidationError
from workflow_state.cli.plan_file import parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-03-14", "2026-03-14"),
        ("no", "no"),
        ("on", "on"),
        ("012", "012"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("true", True),
        ("null", None),
        ("-3", -3),
        ("1.5e3", 1500.0),
        ('"1"', "1"),
        ("${a.output.b[0] ?? 1}", "${a.output.b[0] ?? 1}"),
        ("[1, &x {a: 1}, *x]", [1, {"a": 1}, {"a": 1}]),
        ("{<<: {a: 1, b: 2}, b: 3}", {"a": 1, "b": 3}),
        ("", None),
    ],
)
def test_plain_text_means_what_it_means_in_json(text: str, value: Any) -> None:
    """Days, words like ``no`` and numbers with leading zeros stay text; aliases and merges work."""
    assert parse_yaml(f"value: {text}") == {"value": value}


BOMB = "a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "the key 'a' twice"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("&a [*a]", "contains itself"),
        ("[", "The plan is not YAML"),
        ("", "The plan is empty"),
        ("a: 1\n---\nb: 2", "The plan is not YAML"),
        ("[" * 5000, "The plan"),
        (BOMB, "values once its aliases are written out"),
    ],
    ids=["key twice", "tag", "itself", "broken", "empty", "two documents", "deep", "bomb"],
)
def test_what_is_no_plan_is_refused(text: str, message: str) -> None:
    """As a problem of the plan, with what is wrong; text from outside can neither run code nor eat the memory."""
    with pytest.raises(PlanValidationError, match="invalid_yaml") as refused:
        parse_yaml(text)
    assert message in str(refused.value)

"""Mermaid and DOT: golden texts, and strangers' text that stays inside its label."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pictures import plans
from workflow_state import plan_to_dot, plan_to_mermaid
from workflow_state.testing import run_plan

GOLDEN = Path(__file__).parent / "golden"


def test_the_texts_are_the_golden_ones() -> None:
    """The shop's plan, with every mark, as it was when somebody looked at it drawn."""
    assert plan_to_mermaid(plans.SHOP) == (GOLDEN / "order.mmd").read_text()
    assert plan_to_dot(plans.SHOP) == (GOLDEN / "order.dot").read_text()


def test_a_state_adds_its_colours() -> None:
    """With a state, every action has the class (Mermaid) or the colour (DOT) of its status; nothing else changes."""
    state = run_plan(plans.numbered([[], [0], [0]]), {"test.step": lambda: 1 / 0})
    plain, coloured = (plan_to_mermaid(plans.numbered([[], [0], [0]]), given) for given in (None, state))
    assert coloured.startswith(plain)
    assert "class a0 failed" in coloured
    assert "class a1,a2 skipped" in coloured
    assert 'fillcolor="#fde8dd"' in plan_to_dot(plans.numbered([[], [0], [0]]), state)


@pytest.mark.parametrize("write", [plan_to_mermaid, plan_to_dot])
def test_strangers_text_stays_in_its_label(write: Callable[[object], str]) -> None:
    """Quotes, markup, comments, directives and line breaks of a plan end no label and start nothing new."""
    action = plans.action("a", actionDefinitionId=f'{plans.HOSTILE}\n"] --> b; click a "javascript:alert(1)"')
    text = write({"name": f'x"]; {plans.HOSTILE}'[:200], "actions": [action]})
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    assert "alert" not in bare
    assert "script" not in bare
    assert len(text.splitlines()) == len(write({"name": "x", "actions": [plans.action("a")]}).splitlines())


def test_mermaid_reads_no_markup_in_labels() -> None:
    """What is HTML, Markdown or a directive to Mermaid is written in its own codes."""
    text = plan_to_mermaid({"actions": [plans.action("a", actionDefinitionId=plans.HOSTILE)]})
    label = text.split('"')[1].removeprefix("a<br/>")
    assert not re.search(r"[<>\"&`%*~\\]", label)
    assert label.startswith("#60;/script#62;#60;/title#62;#60;script#62;alert(#34;1#34;)")

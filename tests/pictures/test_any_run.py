"""Whatever the plan and however its run ends: pictures and report can be made, and they tell the truth."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pictures.geometry import boxes, crossed, overlapping
from tests.pictures.test_report import facts_of
from tests.random_plans import plans
from workflow_state import compile_plan, execution_report, plan_to_dot, plan_to_mermaid, plan_to_svg
from workflow_state.pictures.text import fitted, markup, width_of
from workflow_state.testing import run_plan
from workflow_state.validation import prepare_plan

TEXTS = st.text(st.characters(codec=None), max_size=60)


@given(plans(), st.sampled_from(["levels", "dataflow"]))
@settings(max_examples=60, deadline=None)
def test_every_run_has_its_pictures(plan: dict[str, Any], schedule: str) -> None:
    """Conditions, alternatives, fallbacks, retries, failures: each action is in the graph and in the report, with the
    status that it has; the critical path follows the clock; whoever is blocked did not run.
    """
    plan = {**plan, "schedule": schedule}
    state = run_plan(plan)
    svg = plan_to_svg(plan, state)
    assert len(boxes(svg)) == len(plan["actions"])
    assert crossed(svg) == []
    assert overlapping(svg) == []
    for text in (plan_to_mermaid(plan, state), plan_to_dot(plan, state)):
        program = compile_plan(prepare_plan(plan))
        edges = sum(len(step.needs) for step in program.steps.values())
        assert len(re.findall(r"^  \S+ -(?:->|\.->|\. if it fails \.->|>) ", text, re.MULTILINE)) == edges
    facts = facts_of(execution_report(plan, state))
    assert {one["id"]: one["look"] for one in facts["actions"]} == {
        name: action.status.value for name, action in state.action_states.items()
    }
    known = {one["id"]: one for one in facts["actions"]}
    path = [known[name] for name in facts["critical"]]
    assert all(before["to"] <= after["from"] for before, after in itertools.pairwise(path))
    blocked = {name for one in facts["actions"] for name in one.get("blocks", ())}
    assert all(known[name]["look"] == "skipped" and "tries" not in known[name] for name in blocked)


@given(TEXTS, st.floats(6, 20), st.floats(20, 400))
def test_a_text_fits_its_room(text: str, size: float, room: float) -> None:
    """Cut when it has to be, and on one line whatever it was."""
    shown = fitted(text, size, room)
    assert width_of(shown, size) <= max(room, 2 * size)
    assert len(shown.splitlines()) <= 1


@given(TEXTS)
def test_markup_is_one_text(text: str) -> None:
    """No character of any text can begin an element, an entity or an attribute, or cannot be written."""
    shown = markup(text)
    assert not set("<>\"'") & set(shown)
    assert json.loads(json.dumps(shown.encode().decode())) == shown

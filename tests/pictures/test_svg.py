"""The SVG of a plan: well-formed, nothing from outside, boxes apart, and edges around boxes whatever the plan."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pictures import plans
from tests.pictures.geometry import SVG, boxes, crossed, edge_points, overlapping, root_of
from workflow_state import PlanValidationError, compile_plan, plan_to_svg, validate_execution_plan
from workflow_state.pictures.lanes import MAX_LANES
from workflow_state.testing import run_plan

DOCS = Path(__file__).parents[2] / "docs" / "pictures"


@st.composite
def dags(draw: st.DrawFn) -> dict[str, Any]:
    """Up to 60 actions: at random, or so wide that a level is cut, with edges over any number of levels."""
    size = draw(st.integers(1, 60))
    wide = draw(st.booleans())
    needs: list[list[int]] = [[]]
    for n in range(1, size):
        latest = min(n, 3) if wide else n
        needs.append(draw(st.lists(st.integers(0, latest - 1), max_size=3)))
    return plans.numbered(needs)


@given(dags())
@settings(max_examples=80, deadline=None)
def test_no_edge_crosses_a_box_and_no_two_boxes_overlap(plan: dict[str, Any]) -> None:
    """Whatever depends on whatever: every action has a box of its own place, and every edge goes around all of them."""
    svg = plan_to_svg(plan)
    assert len(boxes(svg)) == len(plan["actions"])
    assert overlapping(svg) == []
    assert crossed(svg) == []


@given(dags())
@settings(max_examples=30, deadline=None)
def test_edges_run_from_left_to_right_between_the_boxes_that_they_join(plan: dict[str, Any]) -> None:
    """A dependency is left of who waits for it; an edge starts at the right side of the one, and ends at the other."""
    svg = plan_to_svg(plan)
    order = [name for level in compile_plan(validate_execution_plan(plan)).levels for name in level]
    place = dict(zip(order, boxes(svg), strict=True))
    points = {(round(x, 1), round(y, 1)) for x, y in edge_points(svg)}
    for action in plan["actions"]:
        target = place[action["id"]]
        for name in action["dependencies"]:
            source = place[name]
            assert source.right < target.left
            for x, box in ((source.right, source), (target.left, target)):
                assert any(abs(x - px) < 0.3 and abs((box.top + box.bottom) / 2 - py) < 0.3 for px, py in points)


@pytest.mark.parametrize(
    "plan",
    [
        plans.grid(40, 50),
        plans.fans(999),
        plans.tangle(2000),
        plans.numbered([[] for _ in range(2000)]),
    ],
    ids=["grid", "fans", "tangle", "no edges"],
)
def test_two_thousand_actions_are_drawn_in_seconds(plan: dict[str, Any]) -> None:
    """Whatever the shape, 2,000 actions take less than three seconds of work, and stay apart."""
    program = compile_plan(validate_execution_plan(plan))
    began = time.process_time()
    svg = plan_to_svg(program)
    assert time.process_time() - began < 3
    assert len(boxes(svg)) == len(plan["actions"])
    assert overlapping(svg) == []


def test_too_many_long_edges_go_above_everything() -> None:
    """A tangle that would need too many lanes sends its longest edges by rail: still around every box."""
    plan = plans.tangle(240)
    lanes = sum(int(a["id"][1:]) - int(b[1:]) - 1 for a in plan["actions"] for b in a["dependencies"])
    assert lanes > MAX_LANES
    svg = plan_to_svg(plan)
    # Everything else begins at 0.
    assert min(rect.top for rect in boxes(svg)) > 20
    assert crossed(svg) == []


def test_a_level_that_is_too_high_becomes_several_columns() -> None:
    """Two hundred actions side by side are a block, not a thread."""
    svg = plan_to_svg(plans.fans(200))
    assert len({rect.left for rect in boxes(svg)}) > 10
    assert crossed(svg) == []
    _, _, width, height = map(float, root_of(svg).get("viewBox", "").split())
    assert 1 / 3 < width / height < 3


def test_the_picture_in_the_documentation_is_what_is_drawn(pictures: Path) -> None:
    """The same plan is drawn the same everywhere; ``--keep-pictures`` says that a change of it was looked at."""
    svg = plan_to_svg(plans.SHOP)
    (pictures / "order.svg").write_text(svg, encoding="utf-8")
    assert (DOCS / "order.svg").read_text(encoding="utf-8") == svg


def test_what_is_special_is_marked_and_explained() -> None:
    """Condition, confirmation, alternative and fallback have a mark in the box and a line in the legend."""
    svg = plan_to_svg(plans.SHOP)
    for mark, meaning in (
        ("condition", "has a condition"),
        ("confirmation", "a person confirms first"),
        ("alternative", "runs only if another fails"),
        ("fallback", "has a fallback value"),
    ):
        assert svg.count(f'<use href="#ws-s-{mark}"') == 2
        assert meaning in svg
    assert "if ${check.output.kind} == &#x27;premium&#x27;" in svg
    assert "ws-edge ws-dashed" in svg
    assert "has a condition" not in plan_to_svg(plans.grid(2, 2))


def test_a_state_gives_colours_and_symbols() -> None:
    """With a state every box has the class and the symbol of its status, and says it to screen readers."""
    state = run_plan(plans.numbered([[], [0]]), {"test.step": lambda: 1 / 0})
    svg = plan_to_svg(plans.numbered([[], [0]]), state)
    assert re.findall(r'class="ws-box ws-(\w+)', svg) == ["failed", "skipped"]
    assert re.findall(r"<title>(.*)", svg) == ["a0 (failed)", "a1 (skipped)"]
    assert '<use href="#ws-s-failed"' in svg


def test_strangers_text_stays_text() -> None:
    """A plan with markup, controls and directions of writing in its texts is drawn as what it says."""
    plan = {"name": plans.HOSTILE[:200], "actions": [plans.action("a", actionDefinitionId=plans.HOSTILE + "\x00\x1b")]}
    plan["actions"][0]["userConfirmation"] = {"title": plans.HOSTILE}
    root = root_of(plan_to_svg(plan))
    allowed = {"svg", "style", "defs", "symbol", "g", "rect", "text", "title", "path", "use", "circle"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= allowed
    assert not [name for element in root.iter() for name in element.attrib if name.startswith("on")]
    (title,) = (element.text for element in root.iter(f"{SVG}title"))
    assert title is not None
    assert '<script>alert("1")</script>' in title


def test_it_needs_nothing_from_outside() -> None:
    """No address but the name of SVG itself, and links only to its own symbols."""
    svg = plan_to_svg(plans.SHOP)
    assert re.findall(r"https?://[^\"]*", svg) == ["http://www.w3.org/2000/svg"]
    assert set(re.findall(r'href="(.)', svg)) == {"#"}
    assert "url(" not in svg
    assert "@import" not in svg


def test_only_a_valid_plan_is_drawn() -> None:
    """A cycle has no levels: the error is the one of validation."""
    with pytest.raises(PlanValidationError, match="a0"):
        plan_to_svg(plans.numbered([[1], [0]]))

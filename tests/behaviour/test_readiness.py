"""1.4 "Ready": when an action may start, and when it is skipped because nothing leads to it."""

from __future__ import annotations

import pytest

from tests.behaviour.endings import ONCE, Endings
from tests.workers import action, plan
from workflow_state import ActionExecutionState

TOLERATED = {"retry": ONCE, "error_handling": {"continue_on_failure": True}}
NEVER = {"if": "false"}

SCHEDULES = ("levels", "dataflow")
PLANS = {
    "levels": plan(
        action("join", "test.echo", "left", "right"),
        action("left", "test.value", "first"),
        action("late", "test.value", "left"),
        action("right", "behave.sleep", "first", inputs={"seconds": 0.3}),
        action("first"),
        action("island"),
    ),
    "mixed": plan(
        action("done"),
        action("skipped", condition=NEVER),
        action("failed", "test.fail", **TOLERATED),
        action("after", "test.echo", "done", "skipped", "failed"),
    ),
    "failed and skipped": plan(
        action("skipped", condition=NEVER),
        action("failed", "test.fail", **TOLERATED),
        action("after", "test.echo", "skipped", "failed"),
    ),
    "only a failed one": plan(action("failed", "test.fail", **TOLERATED), action("after", "test.echo", "failed")),
    "branches": plan(
        action("check", "test.value", inputs={"value": "b"}),
        action("a1", "test.value", "check", condition={"if": "${check.output} == 'a'"}),
        action("a2", "test.value", "a1"),
        action("a3", "test.value", "a2"),
        action("b1", "test.value", "check", condition={"if": "${check.output} == 'b'"}),
        action("b2", "test.value", "b1"),
        action("join", "test.echo", "a3", "b2", inputs={"a": "${a3.status}", "b": "${b2.status}"}),
    ),
    "no branch": plan(
        action("check"),
        action("a", "test.value", "check", condition={"if": "${check.output} == 'a'"}),
        action("b", "test.value", "check", condition={"if": "${check.output} == 'b'"}),
        action("join", "test.echo", "a", "b"),
        action("after", "test.echo", "join"),
        action("aside", "test.echo", "check", "join"),
    ),
    "skipped before its condition": plan(
        action("gone", condition=NEVER),
        action("after", "test.value", "gone", condition={"if": "${gone.output} == 1", "else": "fail"}),
    ),
    "one action": plan(action("alone")),
}


def times(ended: Endings, name: str) -> tuple[float, float]:
    """Start and end of an action of the plan ``levels``."""
    found: ActionExecutionState = ended.action("levels", name)
    assert found.started_at is not None
    assert found.completed_at is not None
    return found.started_at.timestamp(), found.completed_at.timestamp()


@pytest.mark.parametrize(
    ("before", "after"),
    [("first", "left"), ("first", "right"), ("left", "join"), ("right", "join"), ("left", "late")],
)
def test_an_action_starts_when_its_dependencies_have_ended(ended: Endings, before: str, after: str) -> None:
    """An action may start when every dependency has ended, in whatever order the plan lists them."""
    assert times(ended, before)[1] <= times(ended, after)[0]


def test_the_next_level_starts_when_the_one_before_has_ended(ended: Endings) -> None:
    """Actions of a level run side by side; the next level waits for all of it, as the original documents. (As a data
    flow it does not: ``tests/integration/test_dataflow.py``.)
    """
    left, right, late = (times(ended, name) for name in ("left", "right", "late"))
    assert left[0] < right[1]
    if ended.schedule == "levels":
        assert late[0] >= right[1]
        assert times(ended, "island")[1] <= min(left[0], right[0])


def test_completed_skipped_and_tolerated_failures_are_well_enough(ended: Endings) -> None:
    """Completed, skipped, or failed with ``continue_on_failure``: each has ended well enough."""
    assert ended.statuses("mixed") == {
        "done": "completed",
        "skipped": "skipped",
        "failed": "failed",
        "after": "completed",
    }
    assert ended.statuses("only a failed one")["after"] == "completed"


def test_a_failed_dependency_is_not_a_skipped_one(ended: Endings) -> None:
    """An action is skipped with its dependencies only if *all* of them were skipped: a failed one ran."""
    assert ended.statuses("failed and skipped")["after"] == "completed"


def test_a_branch_not_taken_stays_not_taken(ended: Endings) -> None:
    """If all dependencies of an action were skipped it is skipped too, with the reason, however long the branch."""
    found = ended.statuses("branches")
    assert [found[name] for name in ("a1", "a2", "a3")] == ["skipped"] * 3
    assert ended.reason("branches", "a2") == "all of its dependencies were skipped: 'a1'"
    assert ended.reason("branches", "a3") == "all of its dependencies were skipped: 'a2'"


def test_a_join_runs_when_one_branch_ran(ended: Endings) -> None:
    """A join after branches runs when at least one of them ran."""
    assert ended.output("branches", "join") == {"a": "skipped", "b": "completed"}
    assert ended["branches"].status == "completed"


def test_a_join_of_no_branch_is_skipped(ended: Endings) -> None:
    """Where no branch ran, the join and what only it leads to are skipped; what has another way in runs."""
    assert ended.statuses("no branch") == {
        "check": "completed",
        "a": "skipped",
        "b": "skipped",
        "join": "skipped",
        "after": "skipped",
        "aside": "completed",
    }
    assert ended.reason("no branch", "join") == "all of its dependencies were skipped: 'a', 'b'"


def test_what_nothing_leads_to_is_skipped_before_its_condition_is_looked_at(ended: Endings) -> None:
    """A skipped branch stays skipped even where a condition in it would fail the plan."""
    assert ended.statuses("skipped before its condition") == {"gone": "skipped", "after": "skipped"}
    assert ended["skipped before its condition"].status == "completed"


def test_an_action_without_dependencies_starts_at_once(ended: Endings) -> None:
    """With no dependencies there is nothing to wait for, and nothing to be skipped with."""
    assert ended.statuses("one action") == {"alone": "completed"}

"""What a run shows while it goes on, drawn from states, without any process."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from workflow_state.cli.progress import (
    LineProgress,
    LiveProgress,
    count,
    duration,
    estimate,
    headline,
    progress_for,
    status_of,
)
from workflow_state.cli.summary import outcome_of, print_summary
from workflow_state.models import (
    ActionExecutionState,
    ActionStatus,
    Attempt,
    ErrorDetail,
    ExecutionState,
    ExecutionStatus,
    Failure,
    Skipped,
    Success,
)
from workflow_state.redaction import Redactor

START = datetime(2026, 3, 14, 8, 0, tzinfo=UTC)
ERROR = ErrorDetail(category="action_failed", message="the bank is closed")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def ended(name: str, begin: float, end: float) -> ActionExecutionState:
    """An action that completed in one attempt."""
    return ActionExecutionState(
        action_id=name,
        status=ActionStatus.COMPLETED,
        started_at=at(begin),
        completed_at=at(end),
        duration=round((end - begin) * 1000),
        attempts=1,
        result=Success(output=name),
        trace=(Attempt(number=1, started_at=at(begin), completed_at=at(end), outcome="completed"),),
    )


def pending(name: str) -> ActionExecutionState:
    return ActionExecutionState(action_id=name, status=ActionStatus.PENDING)


def retrying(name: str) -> ActionExecutionState:
    """An action whose first attempt failed, and whose second has not begun."""
    attempt = Attempt(number=1, started_at=at(0), completed_at=at(0.5), outcome="failed", error=ERROR)
    return ActionExecutionState(
        action_id=name, status=ActionStatus.RUNNING, started_at=at(0), attempts=1, error=ERROR, trace=(attempt,)
    )


def state(*actions: ActionExecutionState, completed: float | None = None) -> ExecutionState:
    return ExecutionState(
        id="e",
        plan_id="p",
        status=ExecutionStatus.RUNNING if completed is None else ExecutionStatus.COMPLETED,
        started_at=START,
        completed_at=None if completed is None else at(completed),
        action_states={action.action_id: action for action in actions},
    )


def console(*, is_terminal: bool, height: int = 20) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=is_terminal, color_system=None, width=100, height=height), out


def test_a_pipe_gets_lines_and_a_terminal_a_picture() -> None:
    """What is shown depends on what it is shown on."""
    assert isinstance(progress_for(console(is_terminal=True)[0], [["a"]], "t"), LiveProgress)
    assert isinstance(progress_for(console(is_terminal=False)[0], [["a"]], "t"), LineProgress)


def test_lines_tell_each_change_once_in_the_order_of_time() -> None:
    """However seldom one looks, no change is lost, none comes twice, and none before an earlier one."""
    screen, out = console(is_terminal=False)
    with LineProgress(screen, [["a", "b"], ["c"]], "plan") as progress:
        progress.show(state(retrying("a"), pending("b"), pending("c")))
        progress.show(state(retrying("a"), pending("b"), pending("c")))
        progress.show(state(retrying("a"), ended("b", 0.2, 0.8), pending("c")))
        progress.show(state(ended("a", 0.1, 0.9), ended("b", 0.2, 0.8), ended("c", 1.0, 1.5), completed=1.5))
    assert [line.strip() for line in out.getvalue().splitlines()] == [
        "plan: 3 actions in 2 levels",
        "0.00 s  level 1  a: started",
        "0.50 s  level 1  a: attempt 1 failed: the bank is closed",
        "0.20 s  level 1  b: started",
        "0.80 s  level 1  b: completed in 0.60 s",
        "0.90 s  level 1 of 2 done: 2 completed",
        "1.00 s  level 2  c: started",
        "1.50 s  level 2  c: completed in 0.50 s",
        "1.50 s  level 2 of 2 done: 1 completed",
    ]


def test_a_plan_of_many_actions_is_told_by_levels() -> None:
    """Hundreds of lines help nobody: beyond a screenful each level is one line."""
    names = [f"a{i}" for i in range(200)]
    screen, out = console(is_terminal=False)
    with LineProgress(screen, [names], "plan") as progress:
        progress.show(state(*(ended(name, 0, 1) for name in names)))
    lines = out.getvalue().splitlines()
    assert lines[1:] == ["   1.00 s  level 1 of 1 done: 200 completed"]


def test_the_picture_keeps_the_levels_at_work_in_sight() -> None:
    """More actions than lines: levels become rows, and of many levels those around the work are shown."""
    levels = [[f"a{level}.{i}" for i in range(3)] for level in range(1, 51)]
    actions = [ended(name, 0, 1) if level < 25 else pending(name) for level, row in enumerate(levels) for name in row]
    screen, out = console(is_terminal=True, height=16)
    with LiveProgress(screen, levels, "plan") as progress:
        progress.show(state(*actions))
    rows = [line.split() for line in out.getvalue().splitlines()]
    shown = [int(row[0]) for row in rows if len(row) == 3 and row[1].endswith("/3")]
    assert 25 in shown
    assert 27 in shown
    assert len(set(shown)) == 10


def test_an_action_between_two_attempts_is_retrying() -> None:
    """Its record says running, but nothing of it is at work: people are told."""
    assert status_of(retrying("a")) == "retrying"
    assert status_of(pending("a")) == "pending"


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (Success(output="two\n lines"), "two lines"),
        (Success(output={"größe": [1, None]}), '{"größe": [1, null]}'),
        (Success(output=None), "null"),
        (Success(output="x" * 500), "x" * 199 + "…"),
        (Skipped(reason="not asked for"), "not asked for"),
        (Failure(error=ERROR), "the bank is closed"),
    ],
)
def test_outcomes_fit_on_a_line(result: Success | Skipped | Failure, shown: str) -> None:
    """Output, reason or error, on one line, shortened."""
    error = result.error if isinstance(result, Failure) else None
    action = ActionExecutionState(action_id="a", status="completed", result=result, error=error)
    assert outcome_of(action) == shown


def test_a_table_shows_no_secret_of_an_output() -> None:
    """What a table shows gets into the logs of other tools: what bears a secret name is not in it, as in a report."""
    output = {"token": {"value": "hunter2"}, "user": "ada", "shoe_size": 43}
    action = ActionExecutionState(action_id="a", status="completed", result=Success(output=output))
    assert outcome_of(action) == '{"token": "[redacted]", "user": "ada", "shoe_size": 43}'
    assert '"shoe_size": "[redacted]"' in outcome_of(action, Redactor(["shoe_size"]))


def test_a_fallback_is_told_from_an_output() -> None:
    """An action that completed with its fallback value shows what it is there for."""
    attempt = Attempt(number=1, started_at=START, completed_at=START, outcome="failed", error=ERROR)
    action = ActionExecutionState(action_id="a", status="completed", result=Success(output=1), trace=(attempt,))
    assert outcome_of(action) == "1 (fallback for: the bank is closed)"


def test_markup_in_a_plan_is_text() -> None:
    """Outputs and errors come from outside; square brackets in them are no instructions for the terminal."""
    hostile = ActionExecutionState(action_id="a", status="completed", result=Success(output="[bold]x[/nope]"))
    screen, out = console(is_terminal=False)
    print_summary(screen, state(hostile, completed=1), [["a"]], "[red]title")
    assert "[bold]x[/nope]" in out.getvalue()
    assert "[red]title" in out.getvalue()


def test_escape_sequences_do_not_reach_the_terminal() -> None:
    """An error message that holds control characters cannot move the cursor or change the window's title."""
    attempt = Attempt(
        number=1,
        started_at=START,
        completed_at=START,
        outcome="failed",
        error=ERROR.model_copy(update={"message": "\x1b]0;owned\x07 \x1b[2J gone\nnew line"}),
    )
    hostile = ActionExecutionState(action_id="a", status="running", started_at=START, attempts=1, trace=(attempt,))
    screen, out = console(is_terminal=False)
    with LineProgress(screen, [["a"]], "\x1btitle") as progress:
        progress.show(state(hostile))
    assert not set(out.getvalue()) & {"\x1b", "\x07"}
    assert len(out.getvalue().splitlines()) == 3


def test_one_is_singular() -> None:
    """Small things matter."""
    assert (count(1, "level"), count(2, "level"), count(0, "level")) == ("1 level", "2 levels", "0 levels")


def test_the_headline_counts_retries_and_estimates_the_rest() -> None:
    """Half of the actions took a minute, so the other half may; a run that waits for a person has no such end."""
    now = datetime.now(UTC)
    begun = state(
        *(ended(name, 0, 1).model_copy(update={"attempts": 2}) for name in ("a", "b")), pending("c"), pending("d")
    ).model_copy(update={"started_at": now - timedelta(seconds=60)})
    said = headline(begun)
    assert said.startswith("running  2/4 actions  1 min 0")
    assert "  2 retries  about 1 min 0" in said
    assert "about" not in headline(begun.model_copy(update={"status": ExecutionStatus.PAUSED_FOR_CONFIRMATION}))
    paused = headline(begun.model_copy(update={"paused": True}))
    assert paused.startswith("paused  2/4 actions")
    assert "about" not in paused


@pytest.mark.parametrize(
    ("done", "left", "spent", "expected"), [(0, 5, 10, None), (1, 5, 10, None), (2, 5, 10, 25), (5, 0, 10, None)]
)
def test_the_rest_is_estimated_from_what_is_done(done: int, left: int, spent: float, expected: float | None) -> None:
    """As long for each action as until now; nothing is said before there is something to go by, or at the end."""
    assert estimate(done, left, spent) == expected


@pytest.mark.parametrize(
    ("spent", "text"),
    [
        (0.84, "0.8 s"),
        (9.97, "10.0 s"),
        (12.4, "12 s"),
        (59.7, "1 min 00 s"),
        (3725, "1 h 02 min"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations_are_as_exact_as_anyone_needs(spent: float, text: str) -> None:
    """Tenths below ten seconds, seconds below an hour, minutes above."""
    assert duration(spent) == text


def test_lines_say_how_long_a_slow_run_may_take() -> None:
    """After a level of a run that takes its time, the line has an estimate; one that is quick is spared it."""
    screen, out = console(is_terminal=False)
    with LineProgress(screen, [["a", "b"], ["c"]], "plan") as progress:
        progress.show(state(ended("a", 0, 50), ended("b", 0, 60), pending("c")))
    assert "level 1 of 2 done: 2 completed, about 30 s left" in out.getvalue()

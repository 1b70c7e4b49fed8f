"""What a run shows while it goes on: a live picture in a terminal, else one line for each change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from workflow_state.models import ActionExecutionState, ActionStatus, ExecutionState, ExecutionStatus

#: Lines of the picture that are not rows.
FRAME = 6
#: Above this many actions, lines tell of levels only.
MANY = 60
STYLES = {
    ActionStatus.PENDING: "dim",
    ActionStatus.RUNNING: "cyan",
    ActionStatus.COMPLETED: "green",
    ActionStatus.FAILED: "bold red",
    ActionStatus.SKIPPED: "yellow",
}
#: Statuses that have a column of their own where levels are rows.
COUNTED = (ActionStatus.RUNNING, ActionStatus.FAILED, ActionStatus.SKIPPED)
BAR = 24
#: Actions that have to be done before the rest can be estimated.
ENOUGH = 2
#: Seconds from which lines say how much longer it may take.
WORTH_SAYING = 10
Levels = Sequence[Sequence[str]]


class Progress(Protocol):
    """Shows states as they come; a context manager."""

    def show(self, state: ExecutionState) -> None:
        """Show the state as it is now."""

    def __enter__(self) -> Progress: ...

    def __exit__(self, *exc: object) -> None: ...


def progress_for(console: Console, levels: Levels, title: str) -> Progress:
    """The kind of progress that this console can show."""
    return (LiveProgress if console.is_terminal else LineProgress)(console, levels, title)


class LiveProgress:
    """A picture that is drawn over; it goes when the run ends, and the final table takes its place."""

    def __init__(self, console: Console, levels: Levels, title: str) -> None:
        self._levels, self._title = levels, title
        self._console = console
        self._spinner = Spinner("dots")
        self._live = Live(console=console, transient=True, refresh_per_second=10)

    def show(self, state: ExecutionState) -> None:
        """Draw the state."""
        self._live.update(self._picture(state))

    def __enter__(self) -> LiveProgress:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def _picture(self, state: ExecutionState) -> RenderableType:
        rows = self._console.height - FRAME
        fits = len(state.action_states) <= rows
        table = self._by_action(state) if fits else self._by_level(state, max(rows, 3))
        return Group(Text.assemble((self._title, "bold"), f"  {headline(state)}"), table)

    def _by_action(self, state: ExecutionState) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for name in ("level", "action", "", "status", "attempts"):
            table.add_column(name)
        table.add_column("time", justify="right")
        table.add_column("", overflow="ellipsis", no_wrap=True, style="dim")
        for number, level in enumerate(self._levels, 1):
            for index, name in enumerate(level):
                action = state.action_states[name]
                running = action.status is ActionStatus.RUNNING
                table.add_row(
                    "" if index else str(number),
                    Text(name, STYLES[action.status]),
                    self._spinner if running else "",
                    Text(status_of(action), STYLES[action.status]),
                    str(action.attempts or ""),
                    f"{seconds(action):.1f} s" if action.started_at else "",
                    ""
                    if action.status is ActionStatus.COMPLETED or not action.error
                    else one_line(action.error.message),
                )
        return table

    def _by_level(self, state: ExecutionState, rows: int) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for name in ("level", "actions", "", *COUNTED):
            table.add_column(name, justify="right" if name else "left")
        groups = [[state.action_states[name] for name in level] for level in self._levels]
        open_ = next((i for i, group in enumerate(groups) if not all(a.status.ended for a in group)), 0)
        first = max(0, min(open_ - rows // 2, len(groups) - rows))
        for number, group in enumerate(groups[first : first + rows], first + 1):
            counts = Counter(action.status for action in group)
            ended = sum(action.status.ended for action in group)
            filled = BAR * ended // len(group)
            table.add_row(
                str(number),
                f"{ended}/{len(group)}",
                Text("#" * filled, "green") + Text("-" * (BAR - filled), "dim"),
                *(Text(str(counts[status] or ""), STYLES[status]) for status in COUNTED),
            )
        return table


class LineProgress:
    """One line for each change, in the order in which they happened, for logs, pipes and CI."""

    def __init__(self, console: Console, levels: Levels, title: str) -> None:
        self._console, self._levels, self._title = console, levels, title
        self._seen: Counter[str] = Counter()
        self._levels_done = 0

    def show(self, state: ExecutionState) -> None:
        """Print what is new."""
        events = [*self._of_actions(state), *self._of_levels(state)]
        for event in sorted(events, key=lambda event: event.moment):
            since = (event.moment - (state.started_at or event.moment)).total_seconds()
            self._console.print(one_line(f"{since:7.2f} s  {event.text}"), markup=False, soft_wrap=True)

    def __enter__(self) -> LineProgress:
        actions = sum(map(len, self._levels))
        text = f"{self._title}: {count(actions, 'action')} in {count(len(self._levels), 'level')}"
        self._console.print(one_line(text), markup=False, soft_wrap=True)
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def _of_actions(self, state: ExecutionState) -> Iterator[Event]:
        if len(state.action_states) > MANY:
            return
        for number, level in enumerate(self._levels, 1):
            for name in level:
                story = [*_story(state.action_states[name])]
                for event in story[self._seen[name] :]:
                    yield Event(event.moment, f"level {number}  {name}: {event.text}")
                self._seen[name] = len(story)

    def _of_levels(self, state: ExecutionState) -> Iterator[Event]:
        for number, level in enumerate(self._levels[self._levels_done :], self._levels_done + 1):
            group = [state.action_states[name] for name in level]
            ends = [action.completed_at for action in group if action.status.ended and action.completed_at]
            if len(ends) < len(group):
                return
            self._levels_done = number
            counts = Counter(action.status.value for action in group)
            shown = ", ".join(f"{many} {status}" for status, many in counts.items())
            left = self._left(state, number, max(ends))
            yield Event(max(ends), f"level {number} of {len(self._levels)} done: {shown}{left}")

    def _left(self, state: ExecutionState, level: int, moment: datetime) -> str:
        """After a level of a run that takes its time: how much longer it may."""
        done = sum(map(len, self._levels[:level]))
        spent = (moment - (state.started_at or moment)).total_seconds()
        left = estimate(done, len(state.action_states) - done, spent)
        return f", about {duration(left)} left" if left is not None and left >= WORTH_SAYING else ""


class Event(NamedTuple):
    """Something that happened to an action or a level."""

    moment: datetime
    text: str


def _story(action: ActionExecutionState) -> Iterator[Event]:
    """Everything there is to tell of an action, oldest first; it only ever grows."""
    for attempt in action.trace:
        again = f" (attempt {attempt.number})" if attempt.number > 1 else ""
        yield Event(attempt.started_at, f"started{again}")
        if attempt.outcome in ("failed", "lost"):
            why = attempt.error.message if attempt.error else "its worker is gone"
            ended = attempt.completed_at or attempt.started_at
            yield Event(ended, f"attempt {attempt.number} {attempt.outcome}: {why}")
    if action.status.ended and action.completed_at:
        spent = f" in {action.duration / 1000:.2f} s" if action.duration is not None else ""
        yield Event(action.completed_at, f"{action.status}{spent}")


def headline(state: ExecutionState) -> str:
    """Status, actions, time, retries so far, and how much longer it may take."""
    actions = state.action_states.values()
    done = sum(action.status.ended for action in actions)
    retries = sum(max(0, action.attempts - 1) for action in actions)
    spent = elapsed(state)
    going = state.status is ExecutionStatus.RUNNING and not state.paused
    left = estimate(done, len(actions) - done, spent) if going else None
    return "  ".join(
        [
            "paused" if state.paused and not state.status.ended else state.status.value,
            f"{done}/{len(actions)} actions",
            duration(spent),
            *([count(retries, "retry", "retries")] if retries else []),
            *([f"about {duration(left)} left"] if left is not None else []),
        ]
    )


def estimate(done: int, left: int, spent: float) -> float | None:
    """Seconds that the rest may take, if it takes as long for each action as what was done did; None: too early.

    Actions of a plan differ, so it is no promise; but "minutes" is told from "hours".
    """
    if done < ENOUGH or not left:
        return None
    return spent / done * left


def duration(seconds: float) -> str:
    """``0.8 s``, ``12 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def one_line(text: str) -> str:
    """Text from outside as a terminal may be given it: on one line, without escape sequences."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)


def count(number: int, thing: str, things: str = "") -> str:
    """``1 level``, ``2 levels``."""
    return f"{number} {thing if number == 1 else things or f'{thing}s'}"


def status_of(action: ActionExecutionState) -> str:
    """The status in a word; an action that waits for its next attempt is not at work."""
    if action.status is ActionStatus.RUNNING and action.trace and action.trace[-1].outcome == "failed":
        return "retrying"
    return action.status.value


def seconds(action: ActionExecutionState) -> float:
    """How long an action took, or has been at it."""
    if action.duration is not None:
        return action.duration / 1000
    return _since(action.started_at)


def elapsed(state: ExecutionState) -> float:
    """How long a run took, or has been going on, in seconds."""
    if state.completed_at is not None:
        return state.metrics.total_duration / 1000
    return _since(state.started_at)


def _since(moment: datetime | None) -> float:
    # The server's clock gave the moment; ours may be behind it.
    return max(0.0, (datetime.now(UTC) - moment).total_seconds()) if moment else 0.0


def waiting(console: Console, text: str) -> AbstractContextManager[object]:
    """Say what is waited for: with a spinner in a terminal, else as a line."""
    if console.is_terminal:
        return console.status(text)
    console.print(text)
    return nullcontext()

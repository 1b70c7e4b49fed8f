"""The end of a run as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from workflow_state.cli.progress import STYLES, one_line
from workflow_state.models import ActionExecutionState, ExecutionState, ExecutionStatus, Skipped, Success
from workflow_state.redaction import DEFAULT, Redactor

#: Characters of an output or error that the table shows.
SHOWN = 200
#: Characters of an action's id that it shows at most.
ID_WIDTH = 48


def print_summary(console: Console, state: ExecutionState, levels: Sequence[Sequence[str]], title: str) -> None:
    """Every action with level, status, attempts, duration and what came out of it, then the whole."""
    print_table(console, state, levels, title)
    print_end(console, state)


def print_table(
    console: Console,
    state: ExecutionState,
    levels: Sequence[Sequence[str]],
    title: str,
    redactor: Redactor = DEFAULT,
) -> None:
    """The actions in ``levels``, each with level, status, attempts, duration and what came out of it."""
    table = Table(title=Text(one_line(title)), title_justify="left", title_style="bold", expand=True)
    table.add_column("level", justify="right")
    table.add_column("action", no_wrap=True, max_width=ID_WIDTH)
    table.add_column("status", no_wrap=True)
    table.add_column("attempts", justify="right")
    table.add_column("duration", justify="right", no_wrap=True)
    # The one column that gives way in a narrow terminal.
    table.add_column("output or error", overflow="ellipsis", no_wrap=True, ratio=1)
    for number, level in enumerate(levels, 1):
        for name in level:
            action = state.action_states[name]
            table.add_row(
                str(number),
                Text(name),
                Text(action.status, STYLES[action.status]),
                str(action.attempts or ""),
                "" if action.duration is None else f"{action.duration / 1000:.2f} s",
                Text(outcome_of(action, redactor)),
            )
    console.print(table)


def print_end(console: Console, state: ExecutionState) -> None:
    """How the execution ended, in a line or two."""
    metrics = state.metrics
    style = "bold green" if state.status is ExecutionStatus.COMPLETED else "bold red"
    counts = (
        f"{metrics.completed_actions} completed, {metrics.failed_actions} failed, {metrics.skipped_actions} skipped"
    )
    console.print(Text.assemble((state.status.value, style), f" in {metrics.total_duration / 1000:.2f} s: {counts}"))
    if state.error:
        console.print(Text(one_line(state.error.message), "red"), soft_wrap=True)


def outcome_of(action: ActionExecutionState, redactor: Redactor = DEFAULT) -> str:
    """What came out of an action, on one short line, without what bears a secret name: it gets into logs of others."""
    match action.result:
        case Success(output=output):
            text = output if isinstance(output, str) else json.dumps(redactor.clean(output), ensure_ascii=False)
        case Skipped(reason=reason):
            text = reason
        case _:
            text = action.error.message if action.error else ""
    if isinstance(action.result, Success) and action.trace and action.trace[-1].error:
        text = f"{text} (fallback for: {action.trace[-1].error.message})"
    text = one_line(" ".join(text.split()))
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"

"""``workflow-state status``: where an execution stands, and, when it stopped, why and how to go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click
from rich.console import Console

from workflow_state.cli.completion import execution_argument
from workflow_state.cli.diagnosis import Cause, Diagnosis, diagnose, is_untaken, silent_queues
from workflow_state.cli.output import STATUS_STYLES, console, json_option, print_json, say
from workflow_state.cli.progress import count, elapsed, seconds, status_of
from workflow_state.cli.session import Session, app_option, pass_session
from workflow_state.cli.summary import print_table
from workflow_state.models import ActionStatus, Attempt, ErrorDetail, ExecutionState, ExecutionStatus
from workflow_state.program import Program
from workflow_state.redaction import DEFAULT, Redactor

#: Ids that one line names; the rest is counted.
NAMED = 12
#: Actions up to which the table shows all of them; of a larger plan, those that stand out.
ALL = 40


@click.command("status", short_help="Where an execution stands, why it stopped, how to go on.")
@execution_argument
@app_option
@json_option
@pass_session
def status_command(session: Session, execution_id: str, as_json: bool) -> None:
    """Show where the execution ID stands; of one that failed: the action, the attempt, the error, what that
    blocked, and the command to go on.

    Exit code: 0 however it stands, 3 when there is no such execution.
    """
    state = session.manager.get_full_state(execution_id)
    program = session.program(execution_id)
    if as_json:
        print_json(status_document(session, state, program))
    else:
        show_status(console(), session, state, program, session.engine.redactor)


def status_document(session: Session, state: ExecutionState, program: Program) -> dict[str, object]:
    """The state as JSON, and what is to be said of it under ``diagnosis``."""
    found = diagnose(state, program)
    diagnosis = {
        "causes": [cause.to_json_dict() for cause in found.causes],
        "not_started": list(found.not_started),
        "waiting": list(found.waiting),
        "next": [session.command(*words) for words in found.next],
    }
    return {**state.to_json_dict(), "diagnosis": diagnosis}


def show_status(
    screen: Console, session: Session, state: ExecutionState, program: Program, redactor: Redactor = DEFAULT
) -> None:
    """Everything in one look: the table first, as what matters most stands at the end, above the prompt."""
    shown = _shown_levels(state, program)
    title = f"{program.title}, execution {state.id}"
    if any(shown):
        print_table(screen, state, shown, title, redactor)
    else:
        say(screen, (title, "bold"))
    if hidden := len(state.action_states) - sum(map(len, shown)):
        say(screen, (f"and {count(hidden, 'action')} completed, or not begun yet", "dim"))
    show_end(screen, session, state, program)


def show_end(screen: Console, session: Session, state: ExecutionState, program: Program) -> None:
    """The same without the table: where it stands, each cause, and the commands that go on from here."""
    _show_head(screen, state)
    found = diagnose(state, program)
    if state.error and not any(not cause.tolerated for cause in found.causes):
        say(screen, (state.error.message, "red"))
    for cause in found.causes:
        _show_cause(screen, state, cause)
    if found.not_started and state.status is not ExecutionStatus.COMPLETED:
        say(screen, f"Never started besides: {_names(found.not_started)}")
    _show_next(screen, session, state, found)
    for note in queue_notes(session, state, program).values():
        say(screen, note)


def queue_notes(session: Session, state: ExecutionState, program: Program) -> dict[str, str]:
    """For each queue that the plan names and that seems to have no worker: what waits there, and what to do."""
    return {
        queue: f"Nothing is taken from the queue {queue}, which has {_names(names)}: no worker listens to it, "
        f"or all are busy; `{session.worker_command(queue)}` starts one"
        for queue, names in silent_queues(state, program).items()
    }


def _show_head(screen: Console, state: ExecutionState) -> None:
    metrics = state.metrics
    counts = [f"{metrics.completed_actions} of {count(metrics.total_actions, 'action')} completed"]
    counts += [f"{metrics.failed_actions} failed"] if metrics.failed_actions else []
    counts += [f"{metrics.skipped_actions} skipped"] if metrics.skipped_actions else []
    paused = state.paused and not state.status.ended
    status = "paused" if paused else state.status.value.replace("_", " ")
    when = f", started {state.started_at:%Y-%m-%d %H:%M:%S} UTC" if state.started_at else ""
    took = f" {'after' if state.status.ended else 'for'} {elapsed(state):.2f} s" if state.started_at else ""
    say(screen, (status, STATUS_STYLES.get(state.status, "bold cyan")), f"{took}: {', '.join(counts)}{when}")
    if state.rerun_of:
        say(screen, f"A rerun of {state.rerun_of}")
    for name, action in state.action_states.items():
        if action.status is ActionStatus.RUNNING and len(state.action_states) <= ALL:
            worker = action.trace[-1].worker if action.trace else ""
            say(screen, f"{name} is {status_of(action)} for {seconds(action):.1f} s on {worker or 'a worker'}")


def _show_cause(screen: Console, state: ExecutionState, cause: Cause) -> None:
    if cause.error is None:
        say(screen, "\n", (f"{cause.action_id} was skipped", "bold red"), f", which stopped the plan: {cause.reason}")
    else:
        tried = f" in attempt {cause.attempt} of {cause.max_attempts}" if cause.attempt else " before any attempt"
        where = f" on {cause.worker}" if cause.worker else ""
        screen.print()
        say(screen, (f"{cause.action_id} failed", "yellow" if cause.tolerated else "bold red"), f"{tried}{where}")
        say(screen, "  ", (cause.error.message, "red"), f"  [{', '.join(_marks(cause.error))}]")
        if cause.error.suggestion:
            say(screen, f"  suggestion: {cause.error.suggestion}")
        for line in _earlier(state.action_states[cause.action_id].trace, cause.error):
            say(screen, (f"  {line}", "dim"))
    if cause.tolerated:
        say(screen, f"  tolerated: {cause.tolerated}")
    elif cause.blocked:
        say(screen, f"  blocked {count(len(cause.blocked), 'action')}, never run: {_names(cause.blocked)}")
    else:
        say(screen, "  blocked no other action")


def _marks(error: ErrorDetail) -> Iterator[str]:
    yield error.category.value
    if error.code:
        yield f"code {error.code}"
    if error.status_code:
        yield f"status {error.status_code}"
    if not error.retryable:
        yield "not retryable"


def _earlier(trace: Sequence[Attempt], last: ErrorDetail) -> Iterator[str]:
    """What attempts before the last one said, where that was something else."""
    for attempt in trace[:-1]:
        message = attempt.error.message if attempt.error else "its worker was lost"
        if message != last.message:
            yield f"attempt {attempt.number} {attempt.outcome}: {message}"


def _show_next(screen: Console, session: Session, state: ExecutionState, found: Diagnosis) -> None:
    if found.next:
        asks = bool(found.waiting)
        screen.print()
        say(screen, ("It waits for a person. Answer with:" if asks else "Go on with:", "bold"))
        for words in found.next:
            say(screen, f"  {session.command(*words)}")
    elif is_untaken(state):
        say(screen, f"Nothing has begun: no worker listens, or all are busy; `{session.worker_command()}` starts one")


def _shown_levels(state: ExecutionState, program: Program) -> list[list[str]]:
    levels = [list(level) for level in program.levels]
    if len(state.action_states) <= ALL:
        return levels
    dull = (ActionStatus.COMPLETED, ActionStatus.PENDING)
    return [[name for name in level if state.action_states[name].status not in dull][:ALL] for level in levels]


def _names(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return ", ".join(ids[:NAMED]) + more

"""``workflow-state watch``, and how ``run`` and ``rerun`` follow an execution to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import click
from rich.console import Console

from workflow_state.cli.completion import execution_argument
from workflow_state.cli.diagnosis import is_untaken
from workflow_state.cli.exits import CommandError, Exit
from workflow_state.cli.follow import FollowError, follow
from workflow_state.cli.interrupt import Interrupt
from workflow_state.cli.output import console, json_option, print_json, say
from workflow_state.cli.progress import Progress, progress_for
from workflow_state.cli.seconds import Seconds
from workflow_state.cli.session import Session, app_option, pass_session
from workflow_state.cli.status import queue_notes, show_end, show_status, status_document
from workflow_state.models import ExecutionState, ExecutionStatus
from workflow_state.program import Program

#: Seconds after which it is worth saying that no worker has taken an execution.
TAKEN = 2.0
#: Seconds that the server may be away: one that restarts is waited for.
OUTAGE = 30.0
Function = TypeVar("Function", bound=Callable[..., object])


def timeout_option(function: Function) -> Function:
    """How long to stay with an execution."""
    option = click.option(
        "--timeout",
        type=Seconds(),
        metavar="SECONDS",
        help="Leave after that long, with exit code 6; the execution goes on.",
    )
    return option(function)


@click.command("watch", short_help="Follow an execution to its end.")
@execution_argument
@timeout_option
@app_option
@json_option
@pass_session
def watch_command(session: Session, execution_id: str, timeout: float | None, as_json: bool) -> None:
    """Follow the execution ID to its end: live in a terminal, else a line for each change.

    With --json each event is a line, as `history --json` has them.

    Exit code: 0 when it completed, 1 when it failed or was cancelled, 3 when there is none, 6 after --timeout.
    """
    leave(watch(session, execution_id, timeout=timeout, as_json=as_json))


def leave(state: ExecutionState) -> None:
    """End the command with the exit code that says how the execution ended."""
    click.get_current_context().exit(Exit.DONE if state.status is ExecutionStatus.COMPLETED else Exit.FAILED)


def watch(session: Session, execution_id: str, *, timeout: float | None, as_json: bool) -> ExecutionState:
    """Show an execution until it has ended, and then how it ended."""
    program, screen = session.program(execution_id), console()
    progress: Progress = (
        EventLines(session, execution_id) if as_json else progress_for(screen, program.levels, program.title)
    )
    notes = Notes(session, program, None if as_json else screen)

    def show(state: ExecutionState) -> None:
        progress.show(state)
        notes.show(state)

    with progress:
        state = _stay(session, execution_id, show, timeout)
    if not as_json:
        show_status(screen, session, state, program, session.engine.redactor)
    return state


def wait(session: Session, execution_id: str, *, timeout: float | None, as_json: bool) -> ExecutionState:
    """Stay with an execution until it has ended, saying nothing before; then as ``status``."""
    state, program = _stay(session, execution_id, lambda _: None, timeout), session.program(execution_id)
    if as_json:
        print_json(status_document(session, state, program))
    else:
        show_end(console(), session, state, program)
    return state


def _stay(
    session: Session, execution_id: str, show: Callable[[ExecutionState], None], timeout: float | None
) -> ExecutionState:
    deadline = None if timeout is None else time.monotonic() + timeout

    def check() -> None:
        if deadline is not None and time.monotonic() > deadline:
            raise CommandError(f"Execution {execution_id} has not ended within {timeout:g} s; it goes on", Exit.TIMEOUT)

    try:
        return follow(session.manager, execution_id, show, outage=OUTAGE, checks=[check, Interrupt().check])
    except KeyboardInterrupt:
        again, cancel = session.command("watch", execution_id), session.command("cancel", execution_id)
        message = f"Left; the execution goes on. `{again}` watches it again, `{cancel}` ends it"
        raise CommandError(message, Exit.INTERRUPTED) from None
    except FollowError as error:
        raise CommandError(error.message, Exit.AWAY) from error


class Notes:
    """What a person has to do for an execution to go on, said once; not in JSON (``screen`` is None)."""

    def __init__(self, session: Session, program: Program, screen: Console | None) -> None:
        self._session, self._program, self._screen = session, program, screen
        self._began = time.monotonic()
        self._said: set[str] = set()
        self._silent: dict[str, float] = {}  # queue → when something was first seen to wait there

    def show(self, state: ExecutionState) -> None:
        """Say what is new."""
        if self._screen is None:
            return
        for asked in state.confirmations:
            if asked.confirmed is None and not state.status.ended:
                command = self._session.command("confirm", state.id, asked.action_id, "--yes")
                self._say(f"{asked.action_id} waits for a person; answer with `{command}`, or --no")
        if is_untaken(state) and time.monotonic() - self._began > TAKEN:
            self._say(
                f"Nothing has begun: no worker listens, or all are busy; `{self._session.worker_command()}` starts one"
            )
        silent = queue_notes(self._session, state, self._program)
        now = time.monotonic()
        self._silent = {queue: self._silent.get(queue, now) for queue in silent}
        for queue, since in self._silent.items():
            if now - since > TAKEN:
                self._say(silent[queue])
        if state.paused and not state.status.ended:
            self._say(f"It is paused; `{self._session.command('resume', state.id)}` lets it go on")

    def _say(self, text: str) -> None:
        if text not in self._said and self._screen is not None:
            self._said.add(text)
            say(self._screen, text)


class EventLines:
    """Every event as a line of JSON."""

    def __init__(self, session: Session, execution_id: str) -> None:
        self._session, self._execution_id = session, execution_id
        self._after, self._version = 0, -1

    def show(self, state: ExecutionState) -> None:
        """Print the events that are new; of ``state`` alone it would not know what came in between."""
        if self._version == state.version:
            return
        for event in self._session.manager.history(self._execution_id, after=self._after):
            print_json(event.model_dump(mode="json"), lines=True)
            self._after = event.sequence
        # Not before: where the server goes away meanwhile, the same state is shown once more.
        self._version = state.version

    def __enter__(self) -> EventLines:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

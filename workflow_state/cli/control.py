"""What people do to an execution: confirm, cancel, pause, resume, delete."""

from __future__ import annotations

import getpass

import click

from workflow_state.cli.completion import action_argument, execution_argument
from workflow_state.cli.exits import CommandError, Exit
from workflow_state.cli.output import console, json_option, print_json, say
from workflow_state.cli.session import Session, app_option, pass_session


@click.command("confirm", short_help="Answer whether an action may run.")
@execution_argument
@action_argument
@click.option("--yes/--no", "confirmed", default=None, help="Let the action run, or cancel the execution.")
@click.option("--user", default="", help="Who answers, for the record; who is logged in when left out.")
@app_option
@json_option
@pass_session
def confirm_command(
    session: Session, execution_id: str, action_id: str, confirmed: bool | None, user: str, as_json: bool
) -> None:
    """Answer the question whether ACTION of the execution ID may run.

    Exit code: 0 when the answer is recorded, also when it was the same before; 3 for an unknown execution or
    action, 5 when the action does not wait or the other answer was given.
    """
    if confirmed is None:
        raise click.UsageError("say --yes to let the action run, or --no to cancel the execution")
    user = user or _logged_in()
    session.manager.confirm_action(execution_id, action_id, confirmed, user)
    answer = "confirmed" if confirmed else "rejected: the execution is cancelled"
    if as_json:
        print_json({"execution_id": execution_id, "action_id": action_id, "confirmed": confirmed, "user_id": user})
    else:
        say(console(), f"{action_id} is {answer}")


def _logged_in() -> str:
    """Who runs this; "" where nobody knows, as in a container with a user id of its own."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


@click.command("cancel", short_help="Cancel an execution.")
@execution_argument
@click.option("--reason", default="The execution was cancelled", help="For the record.")
@app_option
@json_option
@pass_session
def cancel_command(session: Session, execution_id: str, reason: str, as_json: bool) -> None:
    """Cancel the execution ID: nothing new starts, what was done is kept.

    Exit code: 0 when it is cancelled, 3 when there is none, 5 when it had ended.
    """
    _changed(session, execution_id, session.manager.cancel_execution(execution_id, reason), "cancelled", as_json)


@click.command("pause", short_help="Pause an execution.")
@execution_argument
@app_option
@json_option
@pass_session
def pause_command(session: Session, execution_id: str, as_json: bool) -> None:
    """Pause the execution ID: nothing new starts until `resume`, what runs goes on to its end.

    Exit code: 0 when it is paused, 3 when there is none, 5 when it had ended.
    """
    _changed(session, execution_id, session.manager.pause_execution(execution_id), "paused", as_json)


@click.command("resume", short_help="Let a paused execution go on.")
@execution_argument
@app_option
@json_option
@pass_session
def resume_command(session: Session, execution_id: str, as_json: bool) -> None:
    """Let the paused execution ID go on. (One that has failed goes on by `rerun`.)

    Exit code: 0 when it goes on, 3 when there is none, 5 when it had ended.
    """
    _changed(session, execution_id, session.manager.resume_execution(execution_id), "resumed", as_json)


@click.command("delete", short_help="Delete an ended execution.")
@execution_argument
@app_option
@json_option
@pass_session
def delete_command(session: Session, execution_id: str, as_json: bool) -> None:
    """Delete the ended execution ID: its state, history and results.

    Exit code: 0 when it is gone, or will be as soon as a worker has carried out its end; 3 when there is none, 5
    when it has not ended.
    """
    gone = session.manager.delete(execution_id)
    if as_json:
        print_json({"execution_id": execution_id, "deleted": gone})
    else:
        soon = "" if gone else "as soon as a worker has carried out its end"
        say(console(), f"execution {execution_id} is deleted {soon}".rstrip())


def _changed(session: Session, execution_id: str, changed: bool, what: str, as_json: bool) -> None:
    if not changed:
        # A state with all of its actions would be read for one word.
        (status,) = session.engine.store.fields(execution_id, "status")
        message = f"Execution {execution_id} has ended before: it is {status}"
        raise CommandError(message, Exit.REFUSED)
    if as_json:
        print_json({"execution_id": execution_id, "changed": what})
    else:
        say(console(), f"execution {execution_id} is {what}")

"""``workflow-state events``: what happens to all executions, as it does."""

from __future__ import annotations

from typing import Any

import click

from workflow_state.cli.completion import execution_ids
from workflow_state.cli.event_text import event_line
from workflow_state.cli.interrupt import Interrupt
from workflow_state.cli.output import console, json_option, print_json, say
from workflow_state.cli.session import Session, app_option, pass_session
from workflow_state.event_types import Event
from workflow_state.events import EventListener
from workflow_state.settings import Settings


@click.command("events", short_help="What happens to all executions, live.")
@click.option(
    "--type", "patterns", multiple=True, metavar="PATTERN", help="Only such types, as 'action.*'; repeatable."
)
@click.option(
    "--execution", "execution_id", metavar="ID", shell_complete=execution_ids, help="Only those of one execution."
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="End after N of them.")
@app_option
@json_option
@pass_session
def events_command(
    session: Session, patterns: tuple[str, ...], execution_id: str | None, limit: int | None, as_json: bool
) -> None:
    """Print events of all executions as they happen, until Ctrl-C. With --json each is a line.

    Workers send them where the app's setting workflow_state has "events" on. `watch` follows one execution without.

    Exit code: 0 after --limit, 4 when the broker is away, 130 after Ctrl-C, 141 when nobody reads its output any more.
    """
    if not Settings.of(session.app).events:
        click.echo("The setting workflow_state['events'] of this app is off: only remote actions send events", err=True)
    session.check_broker()
    with session.app.connection_for_read() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
    tail = _Tail(session, execution_id, limit, Interrupt(), as_json=as_json)
    for pattern in patterns or ("*",):
        tail.on(pattern)(tail.show)
    tail.run()
    if tail.unwritten is not None:
        raise tail.unwritten


class _Tail(EventListener):
    """Prints what it hears."""

    def __init__(
        self, session: Session, execution_id: str | None, limit: int | None, interrupt: Interrupt, *, as_json: bool
    ) -> None:
        super().__init__(session.app)
        self._interrupt = interrupt
        self._execution_id, self._left, self._as_json = execution_id, limit, as_json
        self._screen = console()
        self._last = ""
        #: Why what it has to print cannot be printed: that is the end of the command, not a failure over an event.
        self.unwritten: OSError | None = None

    def on_consume_ready(self, *_: Any, **__: Any) -> None:
        """Called by kombu when every event from now on will arrive."""
        click.echo("listening", err=True)

    def on_iteration(self) -> None:
        """Called by kombu about once a second."""
        self._interrupt.check()

    def show(self, event: Event) -> None:
        """Print one event, once, whatever patterns it matches."""
        again = event.id == self._last
        if again or self.should_stop or self._execution_id not in (None, event.execution_id):
            return
        self._last = event.id
        try:
            self._print(event)
        except OSError as error:
            self.unwritten = error
            self.stop()
            return
        if self._left is not None:
            self._left -= 1
            if not self._left:
                self.stop()

    def _print(self, event: Event) -> None:
        if self._as_json:
            print_json(event.model_dump(mode="json"), lines=True)
        else:
            say(self._screen, f"{event.time:%H:%M:%S.%f}"[:-3], f"  {event.execution_id}  {event_line(event)}")

"""``workflow-state list``: which executions there are."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workflow_state.cli.output import STATUS_STYLES, console, json_option, print_json, say
from workflow_state.cli.progress import duration, one_line
from workflow_state.cli.session import Session, app_option, pass_session
from workflow_state.models import ExecutionPage, ExecutionStatus, ExecutionSummary

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Moment(click.ParamType):  # type: ignore[type-arg] # older releases of click cannot be subscripted
    """``2h`` (ago; s, m, h, d, w), or a day or time as ISO 8601 has them, UTC unless it says otherwise."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment; anything else is bad input."""
        if isinstance(value, datetime):
            return value
        text = str(value)
        try:
            if ago := re.fullmatch(r"(\d{1,6})([smhdw])", text):
                return datetime.now(UTC) - timedelta(**{UNITS[ago[2]]: int(ago[1])})
            found = datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is no moment such as 90s, 2h, 7d, 2026-03-14 or 2026-03-14T08:00+01:00", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


@click.command("list", short_help="Which executions there are.")
@click.option(
    "--status", type=click.Choice([status.value for status in ExecutionStatus]), help="Only those that stand so."
)
@click.option("--plan", "plan_id", metavar="ID", help="Only those of the plan with this id.")
@click.option("--name", metavar="TEXT", help="Only those whose plan's name has TEXT in it.")
@click.option("--since", type=Moment(), metavar="WHEN", help="Only those accepted from then on: 2h, 7d, 2026-03-14.")
@click.option("--until", type=Moment(), metavar="WHEN", help="Only those accepted before then.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many at most.")
@click.option("--cursor", metavar="CURSOR", help="Go on behind a page that was cut off.")
@click.option("--ids", is_flag=True, help="Print ids alone, one a line, for other commands.")
@app_option
@json_option
@pass_session
def list_command(
    session: Session,
    status: str | None,
    plan_id: str | None,
    name: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    cursor: str | None,
    ids: bool,
    as_json: bool,
) -> None:
    """List the executions whose records are kept, the newest first."""
    try:
        page = session.manager.list_executions(
            status=status, plan_id=plan_id, name=name, since=since, until=until, cursor=cursor, limit=limit
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        print_json(page.model_dump(mode="json"))
    elif ids:
        for item in page.items:
            click.echo(item.id)
    else:
        _print(console(), page)
        if page.cursor:
            say(console(), (f"There are more: --cursor {page.cursor}", "dim"))


def _print(screen: Console, page: ExecutionPage) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("execution", no_wrap=True)
    table.add_column("plan", overflow="ellipsis", no_wrap=True)
    for name in ("status", "accepted (UTC)"):
        table.add_column(name, no_wrap=True)
    for name in ("time", "actions", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    for item in page.items:
        status = "paused" if item.paused and not item.status.ended else item.status.value
        completed = "" if item.completed_actions is None else f"{item.completed_actions}/"
        table.add_row(
            Text(one_line(item.id)),
            Text(one_line(item.name)),
            Text(status, STATUS_STYLES.get(item.status, "cyan")),
            f"{item.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            _time(item),
            f"{completed}{item.total_actions}",
            str(item.failed_actions or ""),
        )
    screen.print(table)


def _time(item: ExecutionSummary) -> str:
    if item.started_at is None:
        return ""
    return duration(((item.completed_at or datetime.now(UTC)) - item.started_at).total_seconds())

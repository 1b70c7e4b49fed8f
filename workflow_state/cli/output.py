"""How commands print: a console for people, one JSON document or line for programs."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from workflow_state.cli.exits import CommandError, Exit
from workflow_state.cli.progress import one_line
from workflow_state.models import ExecutionStatus

#: Characters of a line when the output goes into a file or a pipe.
PIPE_WIDTH = 140

STATUS_STYLES = {
    ExecutionStatus.COMPLETED: "bold green",
    ExecutionStatus.FAILED: "bold red",
    ExecutionStatus.CANCELLED: "bold red",
}

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Nobody reads on: an error like any other, not rich's exit code, which is that of an execution that failed."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def console() -> Console:
    """Standard output for people."""
    # A terminal or file in some old encoding gets a "?" rather than an error.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    made = _Console(highlight=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = PIPE_WIDTH
    return made


def print_json(document: Any, *, lines: bool = False) -> None:
    """One document, indented; or, with ``lines``, one of many, each on a line of its own."""
    print_document(json_text(document, lines=lines))


def print_document(text: str) -> None:
    """A text of a form that is UTF-8 wherever it goes, whatever the terminal's own encoding is."""
    click.echo(text.encode("utf-8", errors="replace"))


def json_text(document: Any, *, lines: bool = False) -> str:
    """The same, as text."""
    return json.dumps(document, indent=None if lines else 2, ensure_ascii=False)


def say(screen: Console, *parts: str | tuple[str, str]) -> None:
    """One line of text from outside, parts of it with a style; never wrapped, so that it can be copied."""
    shown = [one_line(part) if isinstance(part, str) else (one_line(part[0]), part[1]) for part in parts]
    screen.print(Text.assemble(*shown), soft_wrap=True)


def write_text(text: str, file: Path | None) -> None:
    """Write a picture or a report into a file, or print it.

    Raises:
        CommandError: the file cannot be written.
    """
    if file is None:
        print_document(text)
        return
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}", Exit.BAD_INPUT) from error
    click.echo(f"Wrote {file}", err=True)

"""A page as a project: blocks that begin with a file's name are its files, the other ones are run in order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.docs.documents import ROOT, Block, blocks, promised_output, run_blocks
from workflow_state.cli.worker import WorkerProcess

DOCS = ROOT / "docs"
_FILE = re.compile(r"# (/?[\w./@-]+\.\w+)\n")


def file_name(block: Block) -> str | None:
    """The file that a block is, from its first line."""
    found = _FILE.match(block.code)
    return found[1] if found else None


def write_files(page: str, folder: Path) -> list[str]:
    """Write the page's Python files into a folder; their names."""
    written = []
    for block in blocks(DOCS / page, "python"):
        if name := file_name(block):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code)
            written.append(name)
    return written


def scripts(page: str) -> list[Block]:
    """The page's Python blocks that are no files."""
    every = blocks(DOCS / page, "python")
    return [block for block in every if not file_name(block)]


def check_scripts(page: str, folder: Path, environ: Mapping[str, str]) -> None:
    """Run the page's scripts, in order and in one process: they have to print what they say."""
    parts = scripts(page)
    done = run_blocks(parts, DOCS / page, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), **environ})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == promised_output(parts)


@contextmanager
def worker_of(page: str, folder: Path, environ: Mapping[str, str]) -> Iterator[None]:
    """A worker, started as the page says: its `celery -A … worker` is found there."""
    commands = [line for block in blocks(DOCS / page, "console") for line in block.code.splitlines()]
    (line,) = [line for line in commands if re.fullmatch(r"\$ (\w+=\w+ )?celery -A \S+ worker", line)]
    variable, target = re.fullmatch(r"\$ (?:(\w+=\w+) )?celery -A (\S+) worker", line).groups()
    name, _, value = (variable or "").partition("=")
    extra = {name: value} if name else {}
    with WorkerProcess(target, cwd=folder, environ={"PYTHONPATH": str(ROOT), **environ, **extra}, concurrency=2):
        yield

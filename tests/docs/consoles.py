"""Console blocks of a document as one session in a shell: what is typed, and what it promises to print."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.docs.documents import Block

MARK = "@@@@"
ANY = "..."
"""A line, or a part of a line, that stands for whatever is printed there."""


class Typed(NamedTuple):
    """A command, its place in the document, and what is shown below it."""

    line: int
    command: str
    promised: list[str]


class Answer(NamedTuple):
    """What a command printed, and its exit code."""

    output: list[str]
    code: int


def typed(parts: Iterable[Block]) -> list[Typed]:
    """The commands of console blocks, in order; ``> `` goes on with the command of the line before."""
    found: list[Typed] = []
    for block in parts:
        for number, line in enumerate(block.code.splitlines(), block.line + 1):
            if line.startswith("$ "):
                found.append(Typed(number, line.removeprefix("$ "), []))
            elif line.startswith("> ") and not found[-1].promised:
                last = found.pop()
                found.append(last._replace(command=f"{last.command}\n{line.removeprefix('> ')}"))
            else:
                found[-1].promised.append(line)
    return found


def run_session(commands: list[Typed], *, cwd: Path, env: Mapping[str, str], timeout: float = 400) -> list[Answer]:
    """Type the commands into one shell, one after the other; ``$?`` is that of the command before, as ever."""
    script = ["set +e", "last=0"]
    for one in commands:
        script += [f"echo; echo {MARK}", "(exit $last)", one.command, "last=$?", f"echo; echo {MARK}$last"]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=cwd,
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=timeout,
        check=False,
    )
    parts = re.findall(rf"^{MARK}\n(.*?)^{MARK}(\d+)$", done.stdout, re.MULTILINE | re.DOTALL)
    assert len(parts) == len(commands), done.stdout
    return [Answer([line.rstrip() for line in output.splitlines()], int(code)) for output, code in parts]


def assert_kept(commands: list[Typed], answers: list[Answer]) -> None:
    """Every line that is shown is printed, in that order, digits and spaces aside; every failure is shown as one."""
    for one, answer, after in zip(commands, answers, [*commands[1:], None], strict=True):
        where = f"line {one.line}: $ {one.command}\n" + "\n".join(answer.output)
        asked = after is not None and after.command == "echo $?"
        assert asked or not answer.code, f"exit code {answer.code} is not shown: {where}"
        left = iter(map(_bare, answer.output))
        for line in one.promised:
            if line not in (ANY, ""):
                pattern = re.compile(".*".join(map(re.escape, _bare(line).split(ANY))))
                assert any(pattern.fullmatch(found) for found in left), f"{line!r} is not printed: {where}"


def _bare(line: str) -> str:
    """A line without what differs from run to run."""
    return " ".join(re.sub(r"\d+", "0", line).split())

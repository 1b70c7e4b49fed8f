"""Code blocks of a Markdown document, and running them in order as one program."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

RUNNER = """
import json, sys
blocks, path = json.load(sys.stdin)
names = {"__name__": "__main__"}
for line, code in blocks:
    # Blank lines in front: a traceback names the line of the document.
    exec(compile("\\n" * line + code, path, "exec"), names)
"""


class Block(NamedTuple):
    """A fenced block; ``line``: of its opening fence, from 1."""

    line: int
    language: str
    code: str


def blocks(document: Path, language: str) -> list[Block]:
    """All fenced blocks of one language, in order."""
    text = document.read_text("utf-8")
    found = re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    every = [Block(text[: match.start()].count("\n") + 1, match[1], match[2]) for match in found]
    return [block for block in every if block.language == language]


def promised_output(parts: list[Block]) -> list[str]:
    """What the comments ``# -> ...`` say that the code prints."""
    return [
        line.strip().removeprefix("# -> ")
        for block in parts
        for line in block.code.splitlines()
        if line.strip().startswith("# -> ")
    ]


def run_blocks(
    parts: list[Block], document: Path, *, cwd: Path, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run blocks one after the other in one new process."""
    return subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps([[(block.line, block.code) for block in parts], str(document)]),
        cwd=cwd,
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

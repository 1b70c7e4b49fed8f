"""``docs/behaviour.md`` names tests: each of them exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "behaviour.md"
#: Behaviour that must not be tested without being promised.
TOPICS = sorted((ROOT / "tests" / "behaviour").glob("test_*.py"))


def named() -> set[str]:
    """All test ids in the document; a name without its file is one of the file that heads its table."""
    found: set[str] = set()
    file = ""
    for line in DOCUMENT.read_text("utf-8").splitlines():
        if heading := re.match(r"\| what is promised \| tests(?: in `(.+?)`)? \|", line):
            file = heading[1] or ""
        for name in re.findall(r"`((?:tests/\S+?::)?(?:\w+::)?test_\w+)`", line):
            found.add(name if "::" in name else f"{file}::{name}")
    return found


def ids_in(path: Path) -> set[str]:
    """The test ids of one file."""
    place = path.relative_to(ROOT).as_posix()
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            found.add(f"{place}::{node.name}")
        elif isinstance(node, ast.ClassDef):
            names = [part.name for part in node.body if isinstance(part, ast.FunctionDef)]
            found.update(f"{place}::{node.name}::{name}" for name in names if name.startswith("test_"))
    return found


def test_every_test_that_is_named_exists() -> None:
    """A promise whose test was renamed or removed is a promise without a test."""
    ids = named()
    existing = {name for file in {test.partition("::")[0] for test in ids} for name in ids_in(ROOT / file)}
    assert sorted(ids - existing) == []
    assert len(ids) > 100


def test_every_behaviour_test_is_named() -> None:
    """What the behaviour tests hold is promised somewhere in the document."""
    assert sorted(set().union(*map(ids_in, TOPICS)) - named()) == []

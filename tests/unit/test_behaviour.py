"""docs/behaviour.md names tests; they exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "behaviour.md").read_text("utf-8")


def test_every_test_that_the_page_names_exists() -> None:
    """A promise whose test is renamed or removed is noticed here."""
    named = re.findall(r"`(test_\w+)::(test_\w+)`", PAGE)
    assert len(named) > 60
    found: dict[str, str] = {}
    for path in (
        *(ROOT / "tests" / "behaviour").glob("test_*.py"),
        *(ROOT / "tests" / "integration").glob("test_*.py"),
    ):
        found[path.stem] = found.get(path.stem, "") + path.read_text("utf-8")
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in found.get(file, "")]
    assert missing == []

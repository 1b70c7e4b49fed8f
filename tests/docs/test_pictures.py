"""The page on pictures is true: its code runs and prints what it says, and its pictures are those of the tests."""

from __future__ import annotations

import os
import re
from pathlib import Path

from PIL import Image

from tests.docs.documents import ROOT, blocks, promised_output, run_blocks

PAGE = ROOT / "docs" / "pictures.md"


def test_its_code_runs(tmp_path: Path) -> None:
    """Every block, in order, without a server: it prints what its comments promise and leaves the files it names."""
    code = blocks(PAGE, "python")
    done = run_blocks(code, PAGE, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == promised_output(code)
    assert {path.name for path in tmp_path.iterdir()} >= {"report.html", "order.svg", "run.svg"}


def test_its_pictures_are_small_and_legible() -> None:
    """Each is there, wide enough to read, and light enough to open a page with."""
    names = re.findall(r"!\[[^]]+\]\(([^)]+)\)", PAGE.read_text("utf-8"))
    assert len(names) == 4
    for path in (PAGE.parent / name for name in names):
        assert path.stat().st_size < 300_000
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert picture.width >= 1400

"""The documentation as a site: what is wrong ends its build, and it needs no other site."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import dev
from tests.docs.documents import ROOT

DOCS = ROOT / "docs"
WRONG = """# A page

[A page that is not there](nowhere.md), [a heading that is not there](index.md#nowhere).

```{eval-rst}
:func:`workflow_state.exekute_plan` is no name.
```

```{toctree}
missing
```
"""


def build(docs: Path, into: Path) -> subprocess.CompletedProcess[str]:
    """Build a folder as `make docs` builds ours."""
    [command] = dev.commands("docs", {})
    words = [{"docs": str(docs), "build/docs": str(into)}.get(word, word) for word in command]
    return subprocess.run(
        [dev.BIN / words[0], *words[1:]], cwd=ROOT, capture_output=True, text=True, timeout=150, check=False
    )


def test_what_leads_nowhere_ends_the_build(tmp_path: Path) -> None:
    """A link to no page, to no heading, a name that is not public, a page that no page leads to: each is named."""
    docs = tmp_path / "docs"
    shutil.copytree(DOCS / "_extension", docs / "_extension", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(DOCS / "conf.py", docs)
    (docs / "index.md").write_text(WRONG)
    (docs / "alone.md").write_text("# Alone\n")
    done = build(docs, tmp_path / "site")
    assert done.returncode != 0
    for complaint in ("'nowhere.md'", "'nowhere'", "exekute_plan", "'missing'", "alone.md"):
        assert complaint in done.stderr
    assert done.stderr.count("WARNING") == 5


@pytest.mark.slow
def test_the_site_is_whole_and_needs_no_other(tmp_path: Path) -> None:
    """It builds without a warning; every Markdown page is in it; no script, style, font or picture is fetched."""
    done = build(DOCS, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert {page for page in pages if not (tmp_path / page).exists()} == set()
    for page in tmp_path.rglob("*.html"):
        html = page.read_text("utf-8")
        fetched = re.findall(r"<(?:script|img|link|iframe)[^>]*(?:src|href)=\"(\w+:)?//[^\"]*\"", html)
        assert fetched == [], page
        # Nothing of the machine that built it.
        assert str(ROOT) not in html, page
        assert os.path.expanduser("~/") not in html, page


@pytest.mark.parametrize("page", ["index.md", "reference/index.md"])
def test_pages_are_linked_for_readers_of_the_code(page: str) -> None:
    """What the site's navigation has, the page links in plain Markdown too, which the code's own site shows."""
    text = (DOCS / page).read_text("utf-8")
    trees = re.findall(r"^```\{toctree\}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    entries = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    assert entries
    assert [entry for entry in entries if f"]({entry}.md)" not in text] == []


def test_links_have_a_text() -> None:
    """MyST would fill in a title for a link without a text; other readers of Markdown show nothing."""
    empty = [path for path in sorted(DOCS.rglob("*.md")) if "[](" in path.read_text("utf-8")]
    assert empty == []

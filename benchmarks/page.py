"""docs/performance.md from the JSON of its runs.

``make bench ARGS="--no-peers --page"`` and its like measure and write; ``python -m benchmarks.page`` writes the page
again. The words of the page are written by hand. What stands between two marks of one name is written here, and a test
looks that page, picture and JSON agree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks import plot
from benchmarks.peers.trials import TRIALS
from benchmarks.report import headline, short
from benchmarks.worker import ROOT

DOCS = ROOT / "docs"
PAGE, PICTURE = DOCS / "performance.md", DOCS / "performance.svg"
#: Each of one run: the usual workloads, the comparison with others, and the plans that take minutes.
FIGURES, PEERS, LARGE = (DOCS / f"performance{part}.json" for part in ("", "-peers", "-large"))
TITLES = {name: trial.title for name, trial in TRIALS.items()}

Report = Mapping[str, Any]


def fill(page: str, usual: Report, beside: Report, large: Report) -> str:
    """The page with the figures of three runs in it.

    Raises:
        ValueError: a mark is missing.
    """
    workloads = {**usual["workloads"], **large["workloads"]}
    texts = {
        "environment": headline(usual["environment"]).strip(),
        "environment of peers": headline(beside["environment"]).strip(),
        "environment of large": headline(large["environment"]).strip(),
        "promises": "\n".join(_promises(workloads)),
        "peers": "\n".join(_peers(beside["peers"])),
        "terms": "\n".join(_terms(beside["peers"])),
        "figures": "\n".join(_figures(workloads)),
    }
    for name, text in texts.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(page):
            raise ValueError(f"{PAGE.name} has no {begin} ... {end}: put it where the {name} belong")
        page = pattern.sub(lambda _, text=text, begin=begin, end=end: f"{begin}\n\n{text}\n\n{end}", page)
    return page


def row(*cells: object) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _promises(workloads: Mapping[str, Any]) -> Iterator[str]:
    yield row("promise", "workload", "at most", "found", "")
    yield "|---|---|---|---|---|"
    for name, found in workloads.items():
        for promise in found["promises"]:
            word = "kept" if promise["kept"] else "**not kept**"
            yield row(promise["text"], name, f"{promise['limit']:g}", f"{promise['value']:,.2f}", word)


def _figures(workloads: Mapping[str, Any]) -> Iterator[str]:
    yield row("workload", "figure", "value", "least", "most", "of")
    yield "|---|---|---|---|---|---|"
    for name, found in workloads.items():
        for title, figure in found["figures"].items():
            values = (figure["value"], min(figure["samples"]), max(figure["samples"]))
            cells = (f"{short(value)} {figure['unit']}".strip() for value in values)
            yield row(name, title, *cells, len(figure["samples"]))


def _peers(peers: Mapping[str, Any]) -> Iterator[str]:
    yield row("ms (x raw)", *TITLES.values())
    yield "|---" * (len(TITLES) + 1) + "|"
    for standing in peers.values():
        yield row(standing["title"], *(_cell(standing["shapes"].get(shape, {})) for shape in TITLES))


def _cell(found: Mapping[str, Any]) -> str:
    return f"{found['cost']['value']:,.2f} ({found['ratio']:.2f})" if "cost" in found else "–"


def _terms(peers: Mapping[str, Any]) -> Iterator[str]:
    for standing in peers.values():
        versions = ", ".join(f"{package} {version}" for package, version in standing["versions"].items())
        yield f"- **{standing['title']}**{f' ({versions})' if versions else ''}: {standing['settings']}."
        if "skipped" in standing:
            yield f"  Not measured: {standing['skipped']}"
        for shape, found in standing["shapes"].items():
            said = "; ".join(filter(None, (found.get("note", ""), found.get("reason", ""))))
            if said:
                yield f"  {TITLES[shape].capitalize()} ({found['size']}): {said}."


def write() -> None:
    """Write page and picture anew from the JSON files."""
    usual, beside, large = (json.loads(path.read_text("utf-8")) for path in (FIGURES, PEERS, LARGE))
    PAGE.write_text(fill(PAGE.read_text("utf-8"), usual, beside, large), "utf-8")
    PICTURE.write_text(plot.draw(beside["peers"], TITLES), "utf-8")


if __name__ == "__main__":
    write()

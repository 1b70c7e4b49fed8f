"""The facts of a run → one HTML file that needs nothing else: what failed comes first, then graph and timeline.

What is there without scripts is written here; rows and panels are made by the page's script from the facts, as text,
never as markup. A content security policy lets nothing run but that one script, and nothing be fetched.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from importlib.resources import files
from string import Template
from typing import Final

from workflow_state.pictures.cards import cards_of, symbol_of
from workflow_state.pictures.diagram import diagram_of
from workflow_state.pictures.facts import Facts
from workflow_state.pictures.palette import STATUS_LOOKS, Look, css_colours, css_looks, symbol_definitions
from workflow_state.pictures.svg import GRAPH_CSS, Paint, SvgGraph
from workflow_state.pictures.text import duration, markup, shared_start

_HERE: Final = files("workflow_state.pictures")
SCRIPTS: Final = ("report", "timeline", "panel", "graph", "start")
PAGE: Final = Template((_HERE / "report.html").read_text(encoding="utf-8"))
#: One scope for all parts, and none of it global.
SCRIPT: Final = "".join(
    ["(() => {\n", *((_HERE / f"{part}.js").read_text(encoding="utf-8") for part in SCRIPTS), "})();\n"]
)
STYLE: Final = css_colours(":root") + GRAPH_CSS + (_HERE / "report.css").read_text(encoding="utf-8") + css_looks()
_CRITICAL_MARK: Final = '<i class="mark"></i>critical path'


def page_of(facts: Facts) -> str:
    """The whole file."""
    blocked = {name for one in facts.troubles for name in one.blocked}
    paint = Paint(facts.looks, facts.critical, blocked)
    graph = SvgGraph(diagram_of(facts.program), paint) if facts.program else None
    return PAGE.substitute(
        policy=f"default-src 'none'; script-src {_hash(SCRIPT)}; style-src {_hash(STYLE)}; base-uri 'none'",
        title=markup(f"{facts.title}: {_word(facts)}"),
        style=STYLE,
        symbols=symbol_definitions(),
        header=_header(facts),
        cards=cards_of(facts),
        graph=_graph(graph) if graph else "",
        chips=_chips(facts),
        key=_CRITICAL_MARK if facts.critical else "",
        facts=_json(facts, graph),
        script=SCRIPT,
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(facts: Facts, graph: SvgGraph | None) -> str:
    """The facts for the script; no ``<`` is in them, so nothing in them ends the element or begins another."""
    edges = zip(graph.diagram.edges, graph.paths(), strict=True) if graph else ()
    known = {
        "span": facts.span,
        "shared": shared_start(facts.order),
        "critical": facts.critical,
        "actions": facts.actions,
        "edges": [[edge.source, edge.target, path] for edge, path in edges],
    }
    return json.dumps(known, separators=(",", ":")).replace("<", "\\u003c")


def _word(facts: Facts) -> str:
    return "paused" if facts.state.paused else facts.state.status.value.replace("_", " ")


def _header(facts: Facts) -> str:
    state = facts.state
    meta = {"execution": f"<code>{markup(state.id)}</code>"}
    if state.started_at:
        meta["started"] = f"{state.started_at:%Y-%m-%d %H:%M:%S} UTC"
    meta["took" if state.status.ended else "so far"] = f"<b>{duration(facts.span)}</b>"
    meta["actions"] = f"{len(facts.order):,}"
    if facts.critical:
        meta["critical path"] = f"{len(facts.critical):,}"
    if state.rerun_of:
        meta["rerun of"] = f"<code>{markup(state.rerun_of)}</code>"
    look = STATUS_LOOKS[state.status]
    pairs = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in meta.items())
    return (
        f'<header><div class="head"><h1>{markup(facts.title)}</h1>'
        f'<p class="status ws-{look}">{symbol_of(look)}{_word(facts)}</p></div><dl>{pairs}</dl>{_bar(facts)}</header>'
    )


def _bar(facts: Facts) -> str:
    """One strip, divided as the actions are by their status."""
    counts = Counter(facts.looks.values())
    x, parts = 0.0, []
    for look in Look:
        width = 1000 * counts[look] / len(facts.order)
        if width:
            parts.append(f'<rect class="ws-{look}" x="{x:.2f}" width="{max(width - 2, 1):.2f}" height="8"/>')
            x += width
    return f'<svg class="bar" viewBox="0 0 1000 8" preserveAspectRatio="none" aria-hidden="true">{"".join(parts)}</svg>'


def _graph(graph: SvgGraph) -> str:
    controls = "".join(
        f'<button data-zoom="{how}" title="{title}" aria-label="{title}">{sign}</button>'
        for how, sign, title in (("in", "+", "zoom in"), ("out", "&minus;", "zoom out"), ("fit", "fit", "show all"))
    )
    return (
        '<section aria-label="Graph"><div class="tools"><h2>Graph</h2>'
        '<span class="hint">drag to move, ctrl + wheel to zoom, click an action to see it</span>'
        f'<span class="zoom">{controls}</span></div>'
        '<div id="graph" tabindex="0" role="group" aria-label="Graph: arrow keys move it, plus and minus zoom">'
        f"{graph.element()}</div></section>"
    )


def _chips(facts: Facts) -> str:
    """The buttons that filter: one for each status there is, and one for the critical path."""
    counts = Counter(facts.looks.values())
    chips = [
        f'<button class="chip ws-{look}" data-look="{look}" aria-pressed="false">'
        f"{symbol_of(look)}{look} <b>{counts[look]:,}</b></button>"
        for look in Look
        if counts[look]
    ]
    if facts.critical:
        chips.append(
            f'<button class="chip" data-critical aria-pressed="false">{_CRITICAL_MARK} '
            f"<b>{len(facts.critical):,}</b></button>"
        )
    return "".join(chips)

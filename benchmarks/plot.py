"""The comparison with others as one SVG picture, drawn from the JSON of a run with the standard library alone.

One panel a shape, one bar a contender: milliseconds of each action, on a logarithmic scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

WIDTH, LABEL, BAR, GAP, HEAD = 900, 190, 16, 6, 34
#: Room for the number behind the longest bar.
NUMBER = 170
OURS, OTHERS = "#2463ab", "#9aa5b1"


def draw(peers: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """The picture. ``peers``: as in the JSON; ``titles``: of the shapes, in the order of the panels."""
    parts: list[str] = []
    y = 10
    for shape, title in titles.items():
        bars = [
            (standing["title"], standing["shapes"][shape])
            for standing in peers.values()
            if "cost" in standing["shapes"].get(shape, {})
        ]
        if bars:
            panel, y = _panel(f"{title}: ms, logarithmic", sorted(bars, key=_cost), y)
            parts += panel
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" '
        'font-family="sans-serif" font-size="13">'
    )
    background = f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>'
    return "\n".join([head, background, *parts, "</svg>"]) + "\n"


def _cost(bar: tuple[str, Mapping[str, Any]]) -> float:
    return float(bar[1]["cost"]["value"])


def _panel(title: str, bars: Sequence[tuple[str, Mapping[str, Any]]], top: int) -> tuple[list[str], int]:
    costs = [_cost(bar) for bar in bars]
    # A quarter of the least cost is where the scale begins, so that the shortest bar is seen.
    begin, end = math.log10(min(costs) / 4), math.log10(max(costs))
    parts = [f'<text x="10" y="{top + 20}" font-weight="bold" fill="#111">{escape(title)}</text>']
    y = top + HEAD
    for (name, found), cost in zip(bars, costs, strict=True):
        length = (WIDTH - LABEL - NUMBER) * (math.log10(cost) - begin) / (end - begin)
        colour = OURS if name.startswith("workflow_state") else OTHERS
        text = f"{cost:,.2f} ({found['ratio']:.1f} x raw)"
        parts += [
            f'<text x="{LABEL - 8}" y="{y + 13}" text-anchor="end" fill="#111">{escape(name)}</text>',
            f'<rect x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>',
            f'<text x="{LABEL + length + 6:.1f}" y="{y + 13}" fill="#333">{escape(text)}</text>',
        ]
        y += BAR + GAP
    return parts, y + 8

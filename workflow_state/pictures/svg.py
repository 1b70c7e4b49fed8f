"""A plan as SVG: one text without any outside resource, light or dark as its reader prefers."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final

from workflow_state.pictures.diagram import Diagram, EdgeKind, Mark, marks_of
from workflow_state.pictures.layout import Bend, Drawing, Route, lay_out
from workflow_state.pictures.palette import Look, css_colours, css_looks, symbol_definitions
from workflow_state.pictures.scale import Scale, scale_for
from workflow_state.pictures.text import markup, shared_start, width_of
from workflow_state.program import Step

GRAPH_CSS: Final = (files("workflow_state.pictures") / "graph.css").read_text(encoding="utf-8")
#: Pixels around the picture.
MARGIN: Final = 16.0
MARK_ICONS: Final[Mapping[Mark, str]] = {
    Mark.CONDITION: "condition",
    Mark.CONFIRMATION: "confirmation",
    Mark.ALTERNATIVE: "alternative",
    Mark.FALLBACK: "fallback",
}


@dataclass(frozen=True, slots=True)
class Paint:
    """What a run adds to the picture of its plan: the look of actions by id, its critical path, and who was blocked."""

    looks: Mapping[str, Look] = field(default_factory=dict)
    critical: Sequence[str] = ()
    blocked: Collection[str] = frozenset()


class SvgGraph:
    """A diagram laid out, to be written as SVG, whole or in parts."""

    def __init__(self, diagram: Diagram, paint: Paint) -> None:
        self.diagram = diagram
        self.paint = paint
        self.scale: Scale = scale_for(len(diagram.steps))
        shared = shared_start([step.id for step in diagram.steps])
        self._lines = [self.scale.lines(step, shared) for step in diagram.steps]
        self._critical = frozenset(paint.critical)
        self._left = self.scale.text_left(bool(paint.looks))
        sizes = [
            (self.scale.width(lines, self._left, sum(1 for _ in marks_of(step))), self.scale.height(lines))
            for lines, step in zip(self._lines, diagram.steps, strict=True)
        ]
        pairs = [(edge.source, edge.target) for edge in diagram.edges]
        self.drawing: Drawing = lay_out(diagram.levels, pairs, sizes, self.scale.spacing)

    def standalone(self) -> str:
        """The picture as a file of its own."""
        style = css_colours(".ws-graph") + GRAPH_CSS + css_looks()
        return self.element(f"<style>{style}</style><defs>{symbol_definitions()}</defs>")

    def element(self, before: str = "") -> str:
        """The ``<svg>`` element; without ``before`` it relies on the styles and symbols of the page around it."""
        legend = self._legend()
        width = max(self.drawing.width, 340.0) + 2 * MARGIN
        height = self.drawing.height + 2 * MARGIN + (26 if legend else 0)
        box = f"{-MARGIN:g} {-MARGIN:g} {_n(width)} {_n(height)}"
        boxes = "".join(map(self._box, range(len(self.diagram.steps))))
        title = markup(f"{self.diagram.title}: {len(self.diagram.steps)} actions")
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="ws-graph ws-{self.scale.name}" viewBox="{box}"'
            f' width="{_n(width)}" height="{_n(height)}" role="img" aria-label="{title}">{before}'
            f'<g class="ws-all">{self._edges()}{boxes}{legend}</g></svg>'
        )

    def paths(self) -> list[str]:
        """Each edge as SVG path data, for who wants to show one alone."""
        return [path_of(route) for route in self.drawing.routes]

    def _edges(self) -> str:
        """All edges of a kind in one element: a browser draws one path of a thousand parts faster than a thousand."""
        edges = list(zip(self.diagram.edges, self.drawing.routes, strict=True))
        ids = [step.id for step in self.diagram.steps]
        strong = set(itertools.pairwise(self.paint.critical))
        plain = [route for edge, route in edges if edge.kind is EdgeKind.DEPENDENCY]
        dashed = [route for edge, route in edges if edge.kind is not EdgeKind.DEPENDENCY]
        critical = [route for edge, route in edges if (ids[edge.source], ids[edge.target]) in strong]
        return (
            _group(plain, "", self.scale)
            + _group(dashed, " ws-dashed", self.scale)
            + _group(critical, " ws-strong", self.scale)
        )

    def _box(self, number: int) -> str:
        step, box, scale = self.diagram.steps[number], self.drawing.boxes[number], self.scale
        look = self.paint.looks.get(step.id)
        classes = ["ws-box", *([f"ws-{look}"] if look else []), *(["ws-dashed"] if step.stands_in_for else [])]
        classes += ["ws-critical"] if step.id in self._critical else []
        classes += ["ws-blocked"] if step.id in self.paint.blocked else []
        middle = box.height / 2
        icon = scale.icon
        symbol = _use(look, scale.pad, middle - icon / 2, icon) if look else ""
        text = "".join(
            f'<text x="{_n(self._left)}" y="{_n(scale.pad / 2 + (row + 0.76) * scale.line)}"'
            f' font-size="{scale.small if row else scale.font:g}"{_MORE if row else ""}>{markup(line)}</text>'
            for row, line in enumerate(self._lines[number])
        )
        marks = "".join(
            _use(MARK_ICONS[mark], box.width - scale.pad - (place + 1) * (icon + 2), scale.pad / 2 + 3, icon * 0.85)
            for place, mark in enumerate(marks_of(step))
        )
        drawn = f'<g class="ws-mark">{marks}</g>' if marks else ""
        return (
            f'<g class="{" ".join(classes)}" data-n="{number}" transform="translate({_n(box.x)} {_n(box.y)})">'
            f"<title>{markup(_hint(step, look))}</title>"
            f'<rect width="{_n(box.width)}" height="{_n(box.height)}" rx="{min(6, box.height / 4):g}"/>'
            f"{symbol}{text}{drawn}</g>"
        )

    def _legend(self) -> str:
        """What the marks mean, those that the picture has."""
        parts, x = [], 0.0
        for mark in self.diagram.marks():
            parts.append(_use(MARK_ICONS[mark], x, -9, 11))
            parts.append(f'<text class="ws-more" x="{_n(x + 17)}" y="0" font-size="11">{mark}</text>')
            x += width_of(mark, 11) + 40
        if not parts:
            return ""
        return f'<g class="ws-mark" transform="translate(0 {_n(self.drawing.height + 30)})">{"".join(parts)}</g>'


_MORE: Final = ' class="ws-more"'


def path_of(route: Route) -> str:
    """One edge as SVG path data: straight past columns, bent between them."""
    first = route[0]
    parts = [f"M{_n(first.x1)} {_n(first.y1)}"]
    for bend in route:
        parts.append(("" if bend is first else f"H{_n(bend.x1)}") + _bend(bend))
    return "".join(parts)


def _group(routes: Sequence[Route], extra: str, scale: Scale) -> str:
    """One path of all routes, shared parts once, and one of their arrow heads."""
    if not routes:
        return ""
    bends = dict.fromkeys(bend for route in routes for bend in route)
    straight = dict.fromkeys(
        (before.x2, before.y2, after.x1) for route in routes for before, after in itertools.pairwise(route)
    )
    heads = dict.fromkeys((route[-1].x2, route[-1].y2) for route in routes)
    parts = [f"M{_n(bend.x1)} {_n(bend.y1)}{_bend(bend)}" for bend in bends]
    parts += [f"M{_n(x1)} {_n(y)}H{_n(x2)}" for x1, y, x2 in straight]
    size = 2.2 if scale.name == "compact" else 4
    arrows = "".join(f"M{_n(x)} {_n(y)}l{-2 * size:g} {-size:g}v{2 * size:g}z" for x, y in heads)
    return f'<path class="ws-edge{extra}" d="{"".join(parts)}"/><path class="ws-arrow{extra}" d="{arrows}"/>'


def _bend(bend: Bend) -> str:
    if abs(bend.y1 - bend.y2) < 0.5:
        return f"L{_n(bend.x2)} {_n(bend.y2)}"
    half = _n((bend.x1 + bend.x2) / 2)
    return f"C{half} {_n(bend.y1)} {half} {_n(bend.y2)} {_n(bend.x2)} {_n(bend.y2)}"


def _use(name: str, x: float, y: float, size: float) -> str:
    return f'<use href="#ws-s-{name}" x="{_n(x)}" y="{_n(y)}" width="{_n(size)}" height="{_n(size)}"/>'


def _hint(step: Step, look: Look | None) -> str:
    """What a browser shows when the pointer rests on a box."""
    lines = [f"{step.id} ({look})" if look else step.id, step.definition]
    lines += [f"if {step.condition.if_}"] if step.condition else []
    lines += [f"confirmation: {step.confirmation.title or 'asked for'}"] if step.confirmation else []
    lines += [f"runs only if {' or '.join(step.stands_in_for)} fails"] if step.stands_in_for else []
    return "\n".join(lines)


def _n(value: float) -> str:
    """A number, short: a tenth of a pixel is enough."""
    return f"{round(value, 1):g}" if abs(value) < 100_000 else f"{value:.0f}"

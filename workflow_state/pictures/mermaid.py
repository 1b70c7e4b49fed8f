"""A plan as a Mermaid flowchart, for Markdown that draws them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from workflow_state.pictures.diagram import Diagram, EdgeKind, Mark, marks_of
from workflow_state.pictures.palette import LIGHT, LIGHT_TONES, Look
from workflow_state.pictures.text import one_line
from workflow_state.program import Step

#: What could end a label, or is HTML, Markdown, a comment or a directive inside of one.
_SPECIAL: Final = re.compile(r"[\"#&<>`%\\*~]")
ARROWS: Final[Mapping[EdgeKind, str]] = {
    EdgeKind.DEPENDENCY: "-->",
    EdgeKind.ALTERNATIVE: "-. if it fails .->",
    EdgeKind.STAND_IN: "-.->",
}


def to_mermaid(diagram: Diagram, looks: Mapping[str, Look]) -> str:
    """The flowchart: one line an action, one an edge, and classes for what is special or has a status."""
    lines = ["flowchart LR"]
    lines += [f"  a{number}{_shape(step)}" for number, step in enumerate(diagram.steps)]
    lines += [f"  a{edge.source} {ARROWS[edge.kind]} a{edge.target}" for edge in diagram.edges]
    lines += _classes(diagram, looks)
    return "\n".join(lines) + "\n"


def _shape(step: Step) -> str:
    """Six corners for a condition, round ends for a confirmation, else a box with round corners."""
    rows = [step.id, step.definition]
    rows += [f"if {step.condition.if_}"] if step.condition else []
    rows += [f"{mark}" for mark in marks_of(step) if mark in (Mark.CONFIRMATION, Mark.FALLBACK)]
    label = "<br/>".join(_label(row) for row in rows)
    before, after = ("{{", "}}") if step.condition else ("([", "])") if step.confirmation else ("(", ")")
    return f'{before}"{label}"{after}'


def _classes(diagram: Diagram, looks: Mapping[str, Look]) -> Iterable[str]:
    alternatives = [f"a{n}" for n, step in enumerate(diagram.steps) if step.stands_in_for]
    if alternatives:
        yield "  classDef alternative stroke-dasharray:5 4"
        yield f"  class {','.join(alternatives)} alternative"
    for look in Look:
        members = [f"a{n}" for n, step in enumerate(diagram.steps) if looks.get(step.id) is look]
        if members:
            tone = LIGHT_TONES[look]
            yield f"  classDef {look} fill:{tone.area},stroke:{tone.line},color:{LIGHT['ink']}"
            yield f"  class {','.join(members)} {look}"


def _label(text: str) -> str:
    """Text of strangers inside a quoted label: Mermaid's own codes for what means something to it."""
    return _SPECIAL.sub(lambda found: f"#{ord(found[0])};", one_line(text))

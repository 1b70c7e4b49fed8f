"""A plan in DOT, the language of Graphviz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from workflow_state.pictures.diagram import Diagram, EdgeKind, Mark, marks_of
from workflow_state.pictures.palette import LIGHT, LIGHT_TONES, Look
from workflow_state.pictures.text import one_line
from workflow_state.program import Step

STYLES: Final[Mapping[EdgeKind, str]] = {
    EdgeKind.DEPENDENCY: "",
    EdgeKind.ALTERNATIVE: ' [style=dashed, label="if it fails"]',
    EdgeKind.STAND_IN: " [style=dashed]",
}


def to_dot(diagram: Diagram, looks: Mapping[str, Look]) -> str:
    """The digraph: its levels are ranks from left to right; ids of nodes are those of the actions."""
    lines = [
        f"digraph {_quoted(diagram.title)} {{",
        "  rankdir=LR;",
        f'  node [shape=box, style="rounded,filled", fillcolor="{LIGHT["card"]}", color="{LIGHT["edge"]}"];',
        '  node [fontname="sans-serif", fontsize=11];',
        f'  edge [color="{LIGHT["edge"]}", fontname="sans-serif", fontsize=9];',
    ]
    lines += [f"  {_quoted(step.id)} [{_attributes(step, looks.get(step.id))}];" for step in diagram.steps]
    ids = [_quoted(step.id) for step in diagram.steps]
    lines += [f"  {ids[edge.source]} -> {ids[edge.target]}{STYLES[edge.kind]};" for edge in diagram.edges]
    return "\n".join([*lines, "}"]) + "\n"


def _attributes(step: Step, look: Look | None) -> str:
    """A hexagon has a condition, an ellipse is confirmed by a person, a dashed line is an alternative."""
    rows = [step.id, step.definition]
    rows += [f"if {step.condition.if_}"] if step.condition else []
    rows += [str(mark) for mark in marks_of(step) if mark in (Mark.CONFIRMATION, Mark.FALLBACK)]
    label = "\\n".join(_escaped(row) for row in rows)
    found = [f'label="{label}"']
    if step.condition or step.confirmation:
        found.append(f"shape={'hexagon' if step.condition else 'ellipse'}")
    if step.stands_in_for:
        found.append('style="rounded,filled,dashed"')
    if look:
        tone = LIGHT_TONES[look]
        found.append(f'fillcolor="{tone.area}", color="{tone.line}"')
    return ", ".join(found)


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    """Text of strangers inside quotes; a backslash would begin one of DOT's own escapes, such as ``\\N``."""
    return one_line(text).replace("\\", "\\\\").replace('"', '\\"')

"""A plan's graph in the three forms: Mermaid, DOT and SVG."""

from __future__ import annotations

from workflow_state.arguments import checked
from workflow_state.models import ExecutionState
from workflow_state.pictures.diagram import diagram_of, program_of
from workflow_state.pictures.dot import to_dot
from workflow_state.pictures.looks import looks_of
from workflow_state.pictures.mermaid import to_mermaid
from workflow_state.pictures.svg import Paint, SvgGraph


@checked
def plan_to_mermaid(plan: object, state: ExecutionState | None = None) -> str:
    """The plan as a Mermaid flowchart; Markdown on GitHub and GitLab draws it inside a fence named ``mermaid``.

    Args:
        plan: an ExecutionPlan, a dict or JSON text, as for ``execute_plan``; or a compiled Program.
        state: of an execution of it, which gives every action the colour of its status.

    Raises:
        PlanValidationError: with every problem of the plan.

    Example:
        >>> print(plan_to_mermaid(plan).splitlines()[0])
        flowchart LR
    """
    diagram = diagram_of(program_of(plan))
    return to_mermaid(diagram, looks_of(state) if state else {})


@checked
def plan_to_dot(plan: object, state: ExecutionState | None = None) -> str:
    """The plan as a digraph in DOT, for ``dot -Tpng`` and every other tool of Graphviz.

    Args:
        plan: an ExecutionPlan, a dict or JSON text, as for ``execute_plan``; or a compiled Program.
        state: of an execution of it, which gives every action the colour of its status.

    Raises:
        PlanValidationError: with every problem of the plan.

    Example:
        >>> print(plan_to_dot(plan, state).splitlines()[0])
        digraph "nightly" {
    """
    diagram = diagram_of(program_of(plan))
    return to_dot(diagram, looks_of(state) if state else {})


@checked
def plan_to_svg(plan: object, state: ExecutionState | None = None) -> str:
    """The plan as an SVG picture: levels from left to right, edges around boxes, light or dark as its reader prefers.

    It needs no other file, no font and no network. Up to 40 actions show their definition and condition too; above
    300, boxes and labels are small and the picture is one to zoom into.

    Args:
        plan: an ExecutionPlan, a dict or JSON text, as for ``execute_plan``; or a compiled Program.
        state: of an execution of it, which gives every action the colour and symbol of its status.

    Raises:
        PlanValidationError: with every problem of the plan.

    Example:
        >>> from pathlib import Path
        >>> written = Path("nightly.svg").write_text(plan_to_svg(plan, state))
    """
    diagram = diagram_of(program_of(plan))
    return SvgGraph(diagram, Paint(looks_of(state) if state else {})).standalone()

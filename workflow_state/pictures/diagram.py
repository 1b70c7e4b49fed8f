"""What a picture of a plan shows: its actions, and which waits for which, with the reason of every edge.

Mermaid, DOT and SVG are three ways to write the same :class:`Diagram`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from workflow_state.compiler import compile_plan
from workflow_state.program import Program, Step
from workflow_state.validation import prepare_plan


class EdgeKind(StrEnum):
    """Why an action waits for another: it depends on it, is its alternative, or waits for what may stand in."""

    DEPENDENCY = "dependency"
    ALTERNATIVE = "alternative"
    STAND_IN = "stand-in"


class Mark(StrEnum):
    """What is special about an action; the value is what a legend says of it."""

    CONDITION = "has a condition"
    CONFIRMATION = "a person confirms first"
    ALTERNATIVE = "runs only if another fails"
    FALLBACK = "has a fallback value"


@dataclass(frozen=True, slots=True)
class Edge:
    """From an action to one that waits for it; both are places in :attr:`Diagram.steps`."""

    source: int
    target: int
    kind: EdgeKind


@dataclass(frozen=True, slots=True)
class Diagram:
    """A plan to draw: its steps in the order of their levels, the edges, and places by level."""

    title: str
    steps: tuple[Step, ...]
    edges: tuple[Edge, ...]
    levels: tuple[tuple[int, ...], ...]

    def marks(self) -> tuple[Mark, ...]:
        """Every mark that some step bears, for the legend."""
        found = {mark for step in self.steps for mark in marks_of(step)}
        return tuple(mark for mark in Mark if mark in found)


def program_of(plan: object) -> Program:
    """A plan as a Program: one is taken as it is; else an ExecutionPlan, a dict, or JSON text.

    Raises:
        PlanValidationError: with every problem of the plan; only a valid plan has levels to draw.
    """
    return plan if isinstance(plan, Program) else compile_plan(prepare_plan(plan))


def diagram_of(program: Program) -> Diagram:
    """The diagram of a compiled plan."""
    ids = [action_id for level in program.levels for action_id in level]
    place = {action_id: number for number, action_id in enumerate(ids)}
    steps = tuple(program.steps[action_id] for action_id in ids)
    edges = tuple(
        Edge(place[name], place[step.id], _kind(name, step)) for step in steps for name in dict.fromkeys(step.needs)
    )
    levels = tuple(tuple(place[action_id] for action_id in level) for level in program.levels)
    return Diagram(program.title, steps, edges, levels)


def marks_of(step: Step) -> Iterable[Mark]:
    """What is special about one action."""
    if step.condition:
        yield Mark.CONDITION
    if step.confirmation:
        yield Mark.CONFIRMATION
    if step.stands_in_for:
        yield Mark.ALTERNATIVE
    if step.fallback:
        yield Mark.FALLBACK


def _kind(source: str, step: Step) -> EdgeKind:
    if source in step.stands_in_for:
        return EdgeKind.ALTERNATIVE
    return EdgeKind.DEPENDENCY if source in step.dependencies else EdgeKind.STAND_IN

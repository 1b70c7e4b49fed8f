"""Reading the whole state of a plan that has ended."""

from __future__ import annotations

from benchmarks.figures import Figure, Findings
from benchmarks.lab import Lab
from benchmarks.plans import grid
from benchmarks.workload import Effort


def measure(lab: Lab, effort: Effort) -> Findings:
    """One run of each plan, read again and again; a fresh ``StateManager`` each time."""
    figures = []
    for levels, width in ((effort.size(20, 2), effort.size(20, 5)), (effort.size(50, 4), effort.size(100, 5))):
        _, execution_id = lab.run(grid(levels, width))
        samples = [lab.read_state(execution_id) * 1000 for _ in range(effort.rounds)]
        figures.append(Figure.median(f"get_full_state, {levels * width} actions", samples, "ms"))
    return Findings(tuple(figures))

"""Reading the whole state of a plan that has ended."""

from __future__ import annotations

import time

from benchmarks.figures import Figure, Findings
from benchmarks.lab import Lab
from benchmarks.plans import plan
from benchmarks.shapes import grid
from benchmarks.workload import Effort
from workflow_state import StateManager


def measure(lab: Lab, effort: Effort) -> Findings:
    """One run of each plan, read again and again; a fresh ``StateManager`` each time."""
    figures = []
    for levels, width in ((effort.size(20, 2), effort.size(20, 5)), (effort.size(50, 4), effort.size(100, 5))):
        _, execution_id = lab.run(plan("grid", grid(levels, width)))
        samples = []
        for _ in range(effort.rounds):
            manager = StateManager(lab.app)
            start = time.perf_counter()
            manager.get_full_state(execution_id)
            samples.append((time.perf_counter() - start) * 1000)
        figures.append(Figure.median(f"get_full_state, {levels * width} actions", samples, "ms"))
    return Findings(tuple(figures))

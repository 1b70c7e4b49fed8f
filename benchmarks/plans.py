"""The shapes as plans of actions that do nothing, or another action of the benchmarks."""

from __future__ import annotations

from typing import Any

from benchmarks.shapes import Graph

Plan = dict[str, Any]

#: With barriers between levels, which is the default, and without.
SCHEDULES = ("levels", "dataflow")


def plan(
    name: str, graph: Graph, *, definition: str = "benchmarks.noop", schedule: str = "levels", **more: Any
) -> Plan:
    """A plan of the graph; ``more`` is said of every action."""
    actions = [
        {
            "id": f"a{number}",
            "actionDefinitionId": definition,
            "dependencies": [f"a{other}" for other in dependencies],
            **more,
        }
        for number, dependencies in enumerate(graph)
    ]
    return {"name": name, "schedule": schedule, "actions": actions}

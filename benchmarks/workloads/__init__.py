"""Every workload, in the order in which they run. A new one is a module here and a line below."""

from __future__ import annotations

from benchmarks.workload import Workload
from benchmarks.workloads import chain, fan, grid, single, state, traffic

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        Workload("grid", "20 levels x 20 actions", grid.measure),
        Workload("fan", "1 -> 5,000 -> 1", fan.measure),
        Workload("chain", "200 actions in a chain", chain.measure),
        Workload("single", "a plan of one action", single.measure),
        Workload("traffic", "what the server gets, 100 and 10,000 actions", traffic.measure),
        Workload("state", "reading the state of a plan", state.measure),
    )
}

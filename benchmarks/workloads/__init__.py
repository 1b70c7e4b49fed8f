"""Every workload, in the order in which they run. A new one is a module here and a line below."""

from __future__ import annotations

from benchmarks.workload import Workload
from benchmarks.workloads import (
    batch,
    chain,
    fan,
    grid,
    large,
    pipelines,
    publishing,
    random_dags,
    reading,
    resources,
    single,
)

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        Workload("grid", "20 levels x 20 actions", grid.measure),
        Workload("fan", "1 -> 1,000 -> 1 and 1 -> 10,000 -> 1", fan.measure),
        Workload("batch", "1 -> 10,000 -> 1 in batches of 50", batch.measure),
        Workload("chain", "200 actions in a chain", chain.measure),
        Workload("single", "a plan of one action", single.measure),
        Workload("random", "random graphs of 400 actions", random_dags.measure),
        Workload("pipelines", "real pipelines, makespan / critical path", pipelines.measure),
        Workload("publishing", "handing in and publishing", publishing.measure),
        Workload("reading", "reading the state of a plan", reading.measure),
        Workload("resources", "traffic, commands, processor time and memory", resources.measure),
        Workload("large", "100,000 actions; takes minutes", large.measure, usual=False),
    )
}

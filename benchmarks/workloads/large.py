"""Plans of 100,000 actions: that they complete, in linear time and bounded memory, and can be read by page."""

from __future__ import annotations

import time

from benchmarks import probes
from benchmarks.figures import Figure, Findings, Promise
from benchmarks.lab import Lab
from benchmarks.plans import plan
from benchmarks.probes import MIB
from benchmarks.shapes import Graph, chain, random_dag, wide
from benchmarks.workload import Effort
from workflow_state import compile_plan, validate_execution_plan


def measure(lab: Lab, effort: Effort) -> Findings:
    """One run of each; the figure of 1,000 actions is the median of the rounds.

    Validating and compiling is processor time, as nothing is waited for.
    """
    size, deep = effort.size(100_000, 60), effort.size(10_000, 20)
    small = wide(effort.size(1000, 10))
    base_samples = [lab.run(plan("small", small))[0] / len(small) * 1000 for _ in range(effort.rounds)]
    base = Figure.median(f"{len(small)} wide, each action", base_samples, "ms")
    figures: list[Figure] = [base]
    promises: list[Promise] = []
    shapes = {
        f"{size} wide": wide(size),
        f"{deep} deep": chain(deep),
        f"{size} random": random_dag(size, 1, reach=1000),
    }
    for name, graph in shapes.items():
        figures += _one(lab, name, graph, base)
        promises += [
            Promise(f"{name}: validate and compile, s", f"{name}, validate and compile", 5.0),
            Promise(f"{name}: memory of a worker process, MiB", f"{name}, worker memory", 400.0),
        ]
        # A chain is one hop after the other: what it costs an action is a latency, and no rate.
        if "deep" not in name:
            promises.append(Promise(f"{name}: cost of an action against 1,000", f"{name}, each / small", 1.5))
    return Findings(tuple(figures), tuple(promises))


def _one(lab: Lab, name: str, graph: Graph, base: Figure) -> list[Figure]:
    given = plan(name, graph)
    start = time.process_time()
    compile_plan(validate_execution_plan(given))
    compiled = time.process_time() - start
    with probes.usage(lab) as used:
        seconds, _ = lab.run(given)
    each = Figure.median(f"{name}, each action", [seconds / len(graph) * 1000], "ms")
    worker = max(used.rss["worker main"], used.rss["pool"]) / MIB
    return [
        Figure.median(f"{name}, validate and compile", [compiled], "s"),
        Figure.median(f"{name}, whole", [seconds], "s"),
        each,
        Figure.of_values(f"{name}, each / small", each, base),
        Figure.median(f"{name}, worker memory", [worker], "MiB"),
        Figure.median(f"{name}, client memory", [used.rss["client"] / MIB], "MiB"),
        Figure.median(f"{name}, server memory", [used.rss["server"] / MIB], "MiB"),
    ]

"""What an action costs the machines: traffic, commands, processor time, memory; and that it does not grow."""

from __future__ import annotations

from benchmarks import probes
from benchmarks.figures import Figure, Findings, Promise
from benchmarks.lab import Lab
from benchmarks.plans import Plan, plan
from benchmarks.probes import MIB
from benchmarks.shapes import grid
from benchmarks.workload import Effort

#: Seconds between two looks while raw tasks are counted, since each look is counted too.
RARELY = 0.05
PARTS = ("server", "worker main", "pool")


def measure(lab: Lab, effort: Effort) -> Findings:
    """Everything counts, from the message with the plan to the final state that is sent back.

    Traffic, commands and processor time come from runs of their own, as watching the commands costs time.
    """
    small, large = effort.size(20, 3), effort.size(100, 6)
    plans = {side: plan("grid", grid(side, side)) for side in (small, large)}
    return Findings(
        (
            *_traffic(lab, effort, plans),
            *_commands(lab, small, plans[small]),
            *_usage(lab, effort, small, large, plans[large]),
        ),
        (
            Promise("commands sent to the server for each action", "commands sent, each action", 16),
            Promise("bytes sent to the server for each action", f"bytes in, each of {small**2} actions", 3000),
            Promise("bytes for each action do not grow with the plan", "growth of bytes", 1.1),
        ),
    )


def _traffic(lab: Lab, effort: Effort, plans: dict[int, Plan]) -> list[Figure]:
    (small, small_plan), (large, large_plan) = plans.items()
    tasks = small**2
    raw = [probes.bytes_in(lab, lambda: lab.drain(tasks, RARELY)) / tasks for _ in range(effort.rounds)]
    few = [probes.bytes_in(lab, lambda: lab.run(small_plan)) / small**2 for _ in range(effort.rounds)]
    many = [probes.bytes_in(lab, lambda: lab.run(large_plan)) / large**2 for _ in range(effort.slow_rounds)]
    figures = [
        Figure.median("bytes in, each raw task", raw, "B"),
        Figure.median(f"bytes in, each of {small**2} actions", few, "B"),
        Figure.median(f"bytes in, each of {large**2} actions", many, "B"),
    ]
    return [*figures, Figure.of_values("growth of bytes", figures[2], figures[1])]


def _commands(lab: Lab, side: int, given: Plan) -> list[Figure]:
    count = side**2
    raw = probes.commands(lab, lambda: lab.drain(count, RARELY))
    run = probes.commands(lab, lambda: lab.run(given))
    counts = {
        "commands sent, each raw task": raw.sent,
        "commands sent, each action": run.sent,
        "commands in scripts, each action": run.scripted,
    }
    return [Figure.median(name, [found.total() / count], "") for name, found in counts.items()]


def _usage(lab: Lab, effort: Effort, small: int, large: int, given: Plan) -> list[Figure]:
    tasks, actions = effort.size(2000, small**2), large**2
    with probes.usage(lab) as of_raw:
        lab.drain(tasks)
    with probes.usage(lab) as of_plan:
        lab.run(given)
    cpu = [
        Figure.median(f"processor time, {part}, each {what}", [used.cpu[part] / count * 1e6], "us")
        for part in PARTS
        for what, used, count in (("raw task", of_raw, tasks), ("action", of_plan, actions))
    ]
    memory = [
        Figure.median(f"memory, {part}, {actions} actions", [of_plan.rss[part] / MIB], "MiB")
        for part in ("worker main", "pool", "client")
    ]
    return [*cpu, *memory]

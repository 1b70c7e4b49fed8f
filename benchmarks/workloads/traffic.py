"""What the server receives and does for each action, and that it does not grow with the plan."""

from __future__ import annotations

from benchmarks.figures import Figure, Findings, Promise
from benchmarks.lab import Counts, Lab
from benchmarks.plans import grid
from benchmarks.workload import Effort

#: Of the largest plan: these are counts, not times, and it runs for a while.
LARGE_RUNS = 1
#: Seconds between two looks while raw tasks are counted, since each look is counted too.
RARELY = 0.05


def measure(lab: Lab, effort: Effort) -> Findings:
    """Everything counts, from the message with the plan to the final state that is sent back.

    Bytes are those that arrive over the network. Commands are all that the server executes, those inside
    scripts included.
    """
    small, large = effort.size(10, 3), effort.size(100, 6)
    tasks = small * small * 10
    counts = {
        "raw": [lab.count(lambda: lab.drain(tasks, RARELY), tasks) for _ in range(effort.rounds)],
        f"{small**2} actions": _of_plan(lab, small, effort.rounds),
        f"{large**2} actions": _of_plan(lab, large, LARGE_RUNS),
    }
    bytes_in = [Figure.median(f"{of}, bytes in", [c.bytes_in for c in found], "B") for of, found in counts.items()]
    commands = [Figure.median(f"{of}, commands", [c.commands for c in found], "") for of, found in counts.items()]
    growth = Figure.ratio("growth of bytes", bytes_in[-1], bytes_in[-2])
    promise = Promise("bytes sent to the server per action do not grow with the plan", growth.name, 1.1)
    return Findings((*bytes_in, *commands, growth), (promise,))


def _of_plan(lab: Lab, side: int, rounds: int) -> list[Counts]:
    plan = grid(side, side)
    return [lab.count(lambda: lab.run(plan), side * side) for _ in range(rounds)]

"""Every peer and ourselves on the same shapes, each beside raw tasks measured in the same minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from benchmarks.lab import Lab
from benchmarks.peers.catalogue import Peer
from benchmarks.peers.conversation import PeerError
from benchmarks.peers.desk import Desk
from benchmarks.peers.standing import Result, Standing
from benchmarks.peers.trials import TRIALS, Trial
from benchmarks.plans import SCHEDULES, plan
from benchmarks.shapes import Graph
from benchmarks.worker import BenchmarkError
from benchmarks.workload import Effort

#: Seconds for one peer and one shape.
BUDGET = 12.0

Once = Callable[[Graph], tuple[float, str]]


def measure(lab: Lab, effort: Effort, peers: Sequence[Peer], tell: Callable[[str], None]) -> dict[str, Standing]:
    """Ourselves with each schedule, and then every peer. ``tell`` is given a line of progress."""
    found = {}
    for schedule in SCHEDULES:
        standing = _ourselves(lab, effort, schedule)
        tell(standing.title)
        found[standing.title] = standing
    return found | others(lab, effort, peers, tell)


def others(lab: Lab, effort: Effort, peers: Sequence[Peer], tell: Callable[[str], None]) -> dict[str, Standing]:
    """Every peer by its name; one that cannot be installed has the reason."""
    found = {}
    for peer in peers:
        tell(peer.title)
        found[peer.name] = _peer(lab, effort, peer)
    return found


def _ourselves(lab: Lab, effort: Effort, schedule: str) -> Standing:
    def once(graph: Graph) -> tuple[float, str]:
        return lab.run(plan("trial", graph, schedule=schedule))[0], ""

    settings = "one worker of 2 processes, late acknowledgement, prefetch 1; states, leases and results in Redis"
    results = {name: rounds(lab, effort, trial, trial.usual, once) for name, trial in TRIALS.items()}
    return Standing(f"workflow_state, {schedule}", settings, results=results)


def _peer(lab: Lab, effort: Effort, peer: Peer) -> Standing:
    try:
        with Desk(lab, peer) as desk:
            # Once without a clock: everything that is made at the first use is made now.
            desk.run([[]])
            results = {}
            for name, trial in TRIALS.items():
                size = peer.sizes.get(name, trial.usual)
                results[name] = rounds(lab, effort, trial, size, desk.run, peer.remark)
            return Standing(peer.title, peer.settings, desk.versions, results)
    except BenchmarkError as error:
        return Standing(peer.title, peer.settings, skipped=str(error))


def rounds(
    lab: Lab, effort: Effort, trial: Trial, size: str, once: Once, remark: str = "", budget: float = BUDGET
) -> Result:
    """Raw tasks and the shape by turns, until there are enough rounds or the time is used up.

    ``remark``: why the size is not the usual one. ``budget``: seconds after which no
    further round begins. A run that fails ends it; what was measured before counts.
    """
    graph = trial.quick if effort.quick else trial.graphs[size]
    cost: list[float] = []
    raw: list[float] = []
    size = "tiny" if effort.quick else size
    notes = [remark] if size not in {trial.usual, "tiny"} else []
    failed = ""
    # A call takes milliseconds where a plan takes seconds, so that there can be more of them.
    wanted = effort.rounds * (1 if len(graph) > 1 else effort.size(4, 1))
    begun = time.monotonic()
    try:
        while len(cost) < wanted and (not cost or time.monotonic() - begun < budget):
            before = trial.raw(lab, len(graph))
            seconds, note = once(graph)
            raw.append(before)
            cost.append(seconds / len(graph) * 1000)
            notes += [note] if note and note not in notes else []
    except PeerError as error:
        failed = f"one run failed: {error}" if cost else str(error)
    return Result(size, len(graph), tuple(cost), tuple(raw), "; ".join(notes), failed)

"""The shapes that everybody is asked to run, and what a raw Celery task is for each of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks import shapes
from benchmarks.app import raw_answer, raw_stamp
from benchmarks.lab import Lab
from benchmarks.shapes import Graph

#: Raw tasks, one after the other, of which one sample of a latency is the median.
CALLS = 20


@dataclass(frozen=True, slots=True)
class Trial:
    """One shape. ``graphs``: by size, the usual one first; ``quick``: only to see that it works.

    ``raw``: milliseconds of one raw task, measured as the shape needs it, given how many actions there are.
    """

    name: str
    title: str
    graphs: Mapping[str, Graph]
    quick: Graph
    raw: Callable[[Lab, int], float]

    @property
    def usual(self) -> str:
        """The size that whoever can bear it gets."""
        return next(iter(self.graphs))


def _drained(lab: Lab, actions: int) -> float:
    return lab.drain(actions) / actions * 1000


def _hop(lab: Lab, _: int) -> float:
    return statistics.median(lab.latencies(raw_stamp, CALLS)) * 1000


def _answered(lab: Lab, _: int) -> float:
    return statistics.median(lab.answer(raw_answer) for _ in range(CALLS)) * 1000


TRIALS = {
    trial.name: trial
    for trial in (
        Trial(
            "grid",
            "a grid, each action",
            {"20 x 20": shapes.grid(20, 20), "10 x 10": shapes.grid(10, 10)},
            shapes.grid(3, 3),
            _drained,
        ),
        Trial(
            "fan",
            "1 -> N -> 1, each action",
            {"1 -> 1,000 -> 1": shapes.fan(1000), "1 -> 100 -> 1": shapes.fan(100)},
            shapes.fan(5),
            _drained,
        ),
        Trial(
            "chain",
            "a chain, each hop",
            {"chain of 200": shapes.chain(200), "chain of 20": shapes.chain(20)},
            shapes.chain(3),
            _hop,
        ),
        Trial("single", "one action alone", {"one action": shapes.chain(1)}, shapes.chain(1), _answered),
    )
}

"""What a workload is: a name to ask for it, a title to show, and a function that measures it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.figures import Findings
from benchmarks.lab import Lab


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure. ``rounds``: samples of each figure; ``slow_rounds``: of those that take a minute each.

    ``quick``: tiny sizes, to see that it works.
    """

    rounds: int
    slow_rounds: int
    quick: bool

    def size(self, full: int, quick: int) -> int:
        """A size of a plan, by whether it has to be quick."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Workload:
    """One comparison; ``measure`` finds the worker started and warmed up.

    ``usual``: whether it runs when none is named; the others take minutes.
    """

    name: str
    title: str
    measure: Callable[[Lab, Effort], Findings]
    usual: bool = True

"""What a workload hands back: figures with their samples, and the promises made about them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity. ``value`` is the median of ``samples`` unless the workload says otherwise."""

    name: str
    value: float
    unit: str
    samples: tuple[float, ...]

    @classmethod
    def median(cls, name: str, samples: Sequence[float], unit: str) -> Figure:
        """The median of some samples; there must be one at least."""
        return cls(name, statistics.median(samples), unit, tuple(samples))

    @classmethod
    def p95(cls, name: str, samples: Sequence[float], unit: str) -> Figure:
        """What 95 of 100 samples do not exceed; of one sample it is that one."""
        ranked = sorted(samples)
        return cls(name, ranked[math.ceil(len(ranked) * 0.95) - 1], unit, tuple(samples))

    @classmethod
    def of_values(cls, name: str, of: Figure, to: Figure) -> Figure:
        """One value over another, of samples that were not taken in pairs."""
        return cls(name, of.value / to.value, "x", (of.value / to.value,))

    @classmethod
    def ratio(cls, name: str, of: Figure, to: Figure) -> Figure:
        """Median over median; the samples are the ratios of what was measured side by side."""
        pairs = zip(of.samples, to.samples, strict=False)
        return cls(name, of.value / to.value, "x", tuple(one / other for one, other in pairs))

    def to_json(self) -> dict[str, Any]:
        """The form in the JSON file."""
        return {"value": self.value, "unit": self.unit, "samples": list(self.samples)}


@dataclass(frozen=True, slots=True)
class Promise:
    """An upper limit that the project has set itself for one figure."""

    text: str
    figure: str
    limit: float


@dataclass(frozen=True, slots=True)
class Findings:
    """All figures of one workload."""

    figures: tuple[Figure, ...]
    promises: tuple[Promise, ...] = field(default=())

    def value(self, name: str) -> float:
        """The value of a figure."""
        return next(figure.value for figure in self.figures if figure.name == name)

    def kept(self, promise: Promise) -> bool:
        """Whether the run kept a promise."""
        return self.value(promise.figure) <= promise.limit

    def to_json(self) -> dict[str, Any]:
        """The form in the JSON file."""
        return {
            "figures": {figure.name: figure.to_json() for figure in self.figures},
            "promises": [
                {
                    "text": promise.text,
                    "figure": promise.figure,
                    "value": self.value(promise.figure),
                    "limit": promise.limit,
                    "kept": self.kept(promise),
                }
                for promise in self.promises
            ],
        }

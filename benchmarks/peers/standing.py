"""How a peer did: for each shape what it took beside raw tasks, or why it has no figure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.figures import Figure


@dataclass(frozen=True, slots=True)
class Result:
    """One shape: milliseconds of each action, and of a raw task just before. ``reason``: why there are none."""

    size: str
    actions: int
    cost: tuple[float, ...] = ()
    raw: tuple[float, ...] = ()
    note: str = ""
    reason: str = ""

    @property
    def ratio(self) -> float:
        """Times as long as a raw task: median over median."""
        return statistics.median(self.cost) / statistics.median(self.raw)

    @property
    def rate(self) -> float:
        """Actions a second."""
        return 1000 / statistics.median(self.cost)

    def to_json(self) -> dict[str, Any]:
        """The form in the JSON file."""
        found: dict[str, Any] = {"size": self.size, "actions": self.actions}
        if self.cost:
            cost, raw = Figure.median("cost", self.cost, "ms"), Figure.median("raw", self.raw, "ms")
            found |= {"cost": cost.to_json(), "raw": raw.to_json(), "ratio": self.ratio, "rate": self.rate}
        return found | {name: text for name, text in (("note", self.note), ("reason", self.reason)) if text}


@dataclass(frozen=True, slots=True)
class Standing:
    """One contender. ``skipped``: why it was not measured at all."""

    title: str
    settings: str
    versions: Mapping[str, str] = field(default_factory=dict)
    results: Mapping[str, Result] = field(default_factory=dict)
    skipped: str = ""

    def to_json(self) -> dict[str, Any]:
        """The form in the JSON file."""
        return {
            "title": self.title,
            "settings": self.settings,
            "versions": dict(self.versions),
            "shapes": {name: result.to_json() for name, result in self.results.items()},
            **({"skipped": self.skipped} if self.skipped else {}),
        }

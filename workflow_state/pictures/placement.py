"""How high each item stands: near its neighbours, and never nearer to the item above it than it may be.

For one column that is a least squares problem under order constraints, which pooling adjacent violators solves in
linear time. Going to and fro over the columns pulls edges straight.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from workflow_state.pictures.lanes import Net

MAX_SWEEPS: Final = 60
BUDGET: Final = 300_000
#: An item without neighbours stays where it is unless something pushes it.
LOOSE: Final = 0.01
#: A lane that is bent is uglier than a box that is off.
LANE_WEIGHT: Final = 4.0
#: A picture may be so many times as high as its fullest column.
LOOSENESS: Final = 1.3


@dataclass(frozen=True, slots=True)
class Gaps:
    """Pixels between two boxes of a column, between two lanes, and how high a run of lanes may become."""

    box: float
    lane: float
    run: float


def place(net: Net, heights: Sequence[float], gaps: Gaps) -> list[float]:
    """The middle of every item, in pixels from the top; the first box or lane touches 0."""
    distances = [_distances(net, column, heights, gaps) for column in net.columns]
    middle = [0.0] * len(net.column_of)
    for column, apart in zip(net.columns, distances, strict=True):
        height = -sum(apart) / 2
        for item, distance in zip(column, apart, strict=True):
            height += distance
            middle[item] = height
    size = len(net.column_of) + sum(map(len, net.after))
    sweeps = max(4, min(MAX_SWEEPS, BUDGET // max(size, 1)))
    order = list(range(len(net.columns)))
    for sweep in range(sweeps):
        forward = sweep % 2 == 0
        late = sweep >= sweeps * 2 // 3
        for number in order if forward else reversed(order):
            sides = (net.before, net.after) if late else (net.before,) if forward else (net.after,)
            _settle(net, net.columns[number], distances[number], sides, middle)
    _squeeze(net, distances, middle)
    top = min(middle[item] - _height(net, item, heights) / 2 for item in range(len(middle)))
    return [one - top for one in middle]


def _squeeze(net: Net, distances: Sequence[Sequence[float]], middle: list[float]) -> None:
    """Take back a height that only straight lanes make: many of them push each other outwards, column by column."""
    high, low = max(middle), min(middle)
    fullest = max(sum(apart) for apart in distances)
    if high - low <= LOOSENESS * fullest:
        return
    centre, scale = (high + low) / 2, (LOOSENESS - 1) * fullest / (high - low - fullest)
    for column, apart in zip(net.columns, distances, strict=True):
        offsets = list(itertools.accumulate(apart))
        wanted = [centre + (middle[item] - centre) * scale - down for item, down in zip(column, offsets, strict=True)]
        for item, value, down in zip(column, _pooled(wanted, [1.0] * len(column)), offsets, strict=True):
            middle[item] = value + down


def _height(net: Net, item: int, heights: Sequence[float]) -> float:
    return heights[item] if item < net.boxes else 0.0


def _distances(net: Net, column: Sequence[int], heights: Sequence[float], gaps: Gaps) -> list[float]:
    """For each item of a column, how far its middle is below that of the item above it, at least."""
    found: list[float] = []
    spacing = gaps.lane
    for number, item in enumerate(column):
        above = column[number - 1] if number else None
        if item >= net.boxes and (above is None or above < net.boxes):
            spacing = min(gaps.lane, gaps.run / _run(net, column, number))
        if above is None:
            found.append(0.0)
            continue
        if item >= net.boxes and above >= net.boxes:
            found.append(spacing)
            continue
        apart = gaps.box if max(item, above) < net.boxes else gaps.box / 2 + gaps.lane / 2
        found.append((_height(net, above, heights) + _height(net, item, heights)) / 2 + apart)
    return found


def _run(net: Net, column: Sequence[int], start: int) -> int:
    """How many lanes follow one another from here."""
    end = start
    while end < len(column) and column[end] >= net.boxes:
        end += 1
    return end - start


def _settle(
    net: Net,
    column: Sequence[int],
    apart: Sequence[float],
    sides: Iterable[Sequence[Sequence[int]]],
    middle: list[float],
) -> None:
    """Move the items of one column to where their neighbours want them, as far as the distances allow."""
    offset = 0.0
    wanted, weights, offsets = [], [], []
    for item, distance in zip(column, apart, strict=True):
        offset += distance
        near = [other for side in sides for other in side[item]]
        lane = item >= net.boxes
        weight = len(near) * (LANE_WEIGHT if lane else 1.0) or LOOSE
        target = sum(middle[other] for other in near) / len(near) if near else middle[item]
        wanted.append(target - offset)
        weights.append(weight)
        offsets.append(offset)
    for item, value, down in zip(column, _pooled(wanted, weights), offsets, strict=True):
        middle[item] = value + down


def _pooled(wanted: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The non-decreasing values nearest to the wanted ones, by weighted squares (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(wanted, weights, strict=True):
        mean, total, count = value, weight, 1
        while blocks and blocks[-1][0] > mean:
            other, mass, members = blocks.pop()
            mean = (mean * total + other * mass) / (total + mass)
            total, count = total + mass, count + members
        blocks.append((mean, total, count))
    return [mean for mean, _, count in blocks for _ in range(count)]

"""The order of items in their columns: few edges cross.

Finding the best order is NP-hard; the usual answer is to sort each column by the mean place of its neighbours in the
column before, then after, to and fro, and to keep the best that came by (Sugiyama, Tagawa and Toda 1981).
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from typing import Final

from workflow_state.pictures.lanes import Net

#: Sweeps over a small picture; a large one gets fewer, so that the time is bounded.
MAX_SWEEPS: Final = 24
#: Up to so many items and links, neighbours are exchanged as well.
SMALL: Final = 1500
#: So many visits of items and links take about half a second.
BUDGET: Final = 250_000


def order(net: Net) -> None:
    """Reorder ``net.columns`` in place."""
    place = [0] * len(net.column_of)
    for column in net.columns:
        _number(place, column)
    size = len(net.column_of) + sum(map(len, net.after))
    best, fewest = [list(column) for column in net.columns], crossings(net, place)
    for sweep in range(max(2, min(MAX_SWEEPS, BUDGET // max(size, 1)))):
        if not fewest:
            break
        forward = sweep % 2 == 0
        near = net.before if forward else net.after
        columns: Iterable[list[int]] = net.columns if forward else reversed(net.columns)
        for column in columns:
            _sort(place, column, near)
        if size <= SMALL:
            _exchange(net, place)
        found = crossings(net, place)
        if found < fewest:
            best, fewest = [list(column) for column in net.columns], found
    net.columns[:] = best


def crossings(net: Net, place: Sequence[int]) -> int:
    """How many pairs of links cross, between all columns."""
    total = 0
    for column in net.columns:
        seen: list[int] = []
        for item in sorted(column, key=place.__getitem__):
            ends = sorted(place[other] for other in net.after[item])
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _sort(place: list[int], column: list[int], near: Sequence[Sequence[int]]) -> None:
    """Sort a column by the mean place of its neighbours; one without any stays behind the one before it."""
    keys: dict[int, float] = {}
    last = -1.0
    for item in column:
        others = near[item]
        last = keys[item] = sum(place[other] for other in others) / len(others) if others else last
    column.sort(key=keys.__getitem__)
    _number(place, column)


def _exchange(net: Net, place: list[int]) -> None:
    """Exchange neighbours as long as that takes crossings away: sorting by means alone misses what two can do."""
    better = True
    while better:
        better = False
        for column in net.columns:
            for n in range(len(column) - 1):
                one, other = column[n], column[n + 1]
                if _between(net, place, one, other) > _between(net, place, other, one):
                    column[n], column[n + 1] = other, one
                    place[one], place[other] = n + 1, n
                    better = True


def _between(net: Net, place: Sequence[int], above: int, below: int) -> int:
    """How many links of two neighbours cross when the one is above the other."""
    return sum(
        place[one] > place[other] for near in (net.before, net.after) for one in near[above] for other in near[below]
    )


def _number(place: list[int], column: Iterable[int]) -> None:
    for number, item in enumerate(column):
        place[item] = number

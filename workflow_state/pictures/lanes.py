"""Columns of boxes, and the lanes in which edges pass the columns between their ends.

Boxes and edges are numbers here. Every level becomes a column; one that is too high to look at becomes several,
side by side. An edge that ends more than one column further has a *lane* in every column between, an item without
height that is ordered and placed among the boxes: that is what keeps edges off boxes. Edges with a common end share
lanes, as far as they go the same way, so a fan of a thousand edges needs no more lanes than one edge; and when
there would still be too many, the longest go by *rails*, above everything.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

Pair = tuple[int, int]
#: Who owns a trunk of lanes: an edge's source (0) or its target (1), and which box that is.
Owner = tuple[int, int]
#: So many lanes are ordered and placed in about a second.
MAX_LANES: Final = 25_000


@dataclass(slots=True)
class Net:
    """Items in columns: the numbers below ``boxes`` are boxes, those above are lanes.

    ``chains`` has the items of every edge from its source to its target; ``rails`` the edges that go above
    everything, and the number of their rail. ``before`` and ``after`` are each item's neighbours one column away.
    """

    boxes: int
    columns: list[list[int]]
    column_of: list[int]
    chains: list[tuple[int, ...]] = field(default_factory=list)
    rails: dict[int, int] = field(default_factory=dict)
    before: list[list[int]] = field(default_factory=list)
    after: list[list[int]] = field(default_factory=list)


def make_net(levels: Sequence[Sequence[int]], edges: Sequence[Pair], highest: int) -> Net:
    """Put boxes in columns of at most ``highest``, and give edges their lanes."""
    columns = _columns(levels, edges, highest)
    column_of = [0] * sum(map(len, levels))
    for number, column in enumerate(columns):
        for box in column:
            column_of[box] = number
    net = Net(len(column_of), columns, column_of)
    _add_lanes(net, edges)
    _link(net)
    return net


def _columns(levels: Sequence[Sequence[int]], edges: Sequence[Pair], highest: int) -> list[list[int]]:
    """Levels, cut into columns of even height; neighbours in the graph stay neighbours."""
    rank = {box: number for number, box in enumerate(_depth_first(levels, edges))}
    columns: list[list[int]] = []
    for level in levels:
        ordered = sorted(level, key=rank.__getitem__)
        height = -(-len(ordered) // -(-len(ordered) // highest))
        columns += [ordered[start : start + height] for start in range(0, len(ordered), height)]
    return columns


def _depth_first(levels: Sequence[Sequence[int]], edges: Sequence[Pair]) -> list[int]:
    """Boxes in the order of a walk along the edges: what belongs together comes together."""
    after: dict[int, list[int]] = {}
    for source, target in edges:
        after.setdefault(source, []).append(target)
    seen: dict[int, None] = {}
    for box in itertools.chain.from_iterable(levels):
        stack = [box]
        while stack:
            found = stack.pop()
            if found not in seen:
                seen[found] = None
                stack += reversed(after.get(found, ()))
    return list(seen)


def _add_lanes(net: Net, edges: Sequence[Pair]) -> None:
    out, into = Counter(source for source, _ in edges), Counter(target for _, target in edges)
    owners = [(0, source) if out[source] >= into[target] else (1, target) for source, target in edges]
    railed = _railed(net, edges, owners)
    lanes: dict[tuple[Owner, int], int] = {}
    for number, ((source, target), owner) in enumerate(zip(edges, owners, strict=True)):
        if owner in railed:
            net.rails[number] = railed[owner]
            net.chains.append((source, target))
            continue
        chain = [source]
        for column in range(net.column_of[source] + 1, net.column_of[target]):
            lane = lanes.setdefault((owner, column), len(net.column_of))
            if lane == len(net.column_of):
                net.column_of.append(column)
                net.columns[column].append(lane)
            chain.append(lane)
        net.chains.append((*chain, target))
    _interleave(net, {lane: box for ((_, box), _), lane in lanes.items()})


def _interleave(net: Net, owner_of: Mapping[int, int]) -> None:
    """Put each lane among the boxes of its column as high as its owner is in its own: a first order to improve on."""
    height: dict[int, float] = {}
    for column in net.columns:
        boxes = [item for item in column if item < net.boxes]
        height |= {box: (number + 0.5) / len(boxes) for number, box in enumerate(boxes)}
    for column in net.columns:
        column.sort(key=lambda item: height[owner_of.get(item, item)])


def _railed(net: Net, edges: Sequence[Pair], owners: Sequence[Owner]) -> dict[Owner, int]:
    """Trunks that go by rail, and the number of their rail: the longest, until the others need few enough lanes."""
    length: dict[Owner, int] = {}
    for (source, target), owner in zip(edges, owners, strict=True):
        length[owner] = max(length.get(owner, 0), net.column_of[target] - net.column_of[source] - 1)
    lanes = sum(length.values())
    railed: dict[Owner, int] = {}
    for owner in sorted(length, key=lambda one: (-length[one], one)):
        if lanes <= MAX_LANES:
            break
        lanes -= length[owner]
        railed[owner] = len(railed)
    return railed


def _link(net: Net) -> None:
    links = {pair for n, chain in enumerate(net.chains) if n not in net.rails for pair in itertools.pairwise(chain)}
    net.before = [[] for _ in net.column_of]
    net.after = [[] for _ in net.column_of]
    for one, other in sorted(links):
        net.after[one].append(other)
        net.before[other].append(one)

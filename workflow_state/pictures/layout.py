"""Boxes and edges on a plane: levels from left to right, no box over another, no edge over a box.

An edge runs straight past a column, in its lane, and bends only in the *channel* between two columns, where no box
is. That is why no edge can cross a box, whatever the plan. Lengths are pixels, y grows downwards.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from workflow_state.pictures.lanes import Net, Pair, make_net
from workflow_state.pictures.ordering import order
from workflow_state.pictures.placement import Gaps, place

#: How high the rails above a picture may become, together.
RAILS_HEIGHT: Final = 60.0
#: A picture is about so many times as wide as it is high, when there is a choice.
ASPECT: Final = 1.7


@dataclass(frozen=True, slots=True)
class Box:
    """Where a box is: its left upper corner and its size."""

    x: float
    y: float
    width: float
    height: float


class Bend(NamedTuple):
    """A part of an edge that crosses one channel, from its left side to its right."""

    x1: float
    y1: float
    x2: float
    y2: float


#: An edge: its bends; between two of them it runs straight from the end of one to the start of the next.
Route = tuple[Bend, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """Boxes and routes in the order in which boxes and edges were given; all of it is within (0, 0, width, height)."""

    boxes: tuple[Box, ...]
    routes: tuple[Route, ...]
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Spacing:
    """Pixels: between boxes, between lanes, for a run of lanes between two boxes, and the narrowest channel.

    ``highest``: how many boxes a column may have before its level is cut into several.
    """

    box: float
    lane: float
    run: float
    channel: float
    highest: int


def lay_out(
    levels: Sequence[Sequence[int]], edges: Sequence[Pair], sizes: Sequence[tuple[float, float]], spacing: Spacing
) -> Drawing:
    """Place boxes and route edges, in bounded time.

    Args:
        levels: the numbers of the boxes, 0 to n - 1, by level.
        edges: from a box to one of a later level.
        sizes: width and height by box; a column is as wide as its widest box, and so are all its boxes.
        spacing: see :class:`Spacing`.
    """
    net = make_net(levels, edges, _highest(sizes, spacing))
    order(net)
    heights = [height for _, height in sizes]
    middles = place(net, heights, Gaps(spacing.box, spacing.lane, spacing.run))
    rails = _rails(net, spacing)
    top = rails[-1] + spacing.box if rails else 0.0
    middles = [middle + top for middle in middles]
    spans = _spans(net, sizes, middles, spacing)
    boxes = tuple(
        Box(spans[column][0], middles[box] - heights[box] / 2, spans[column][1] - spans[column][0], heights[box])
        for box, column in enumerate(net.column_of[: net.boxes])
    )
    routes = tuple(_route(net, number, middles, rails, spans) for number in range(len(edges)))
    bottom = max(middle + (heights[item] / 2 if item < net.boxes else 0) for item, middle in enumerate(middles))
    return Drawing(boxes, routes, spans[-1][1], bottom)


def _highest(sizes: Sequence[tuple[float, float]], spacing: Spacing) -> int:
    """How many boxes a column may have, so that the whole is neither a thread nor a tape."""
    width = sum(width for width, _ in sizes) / len(sizes) + spacing.channel
    height = sum(height for _, height in sizes) / len(sizes) + spacing.box
    return max(spacing.highest, round(math.sqrt(len(sizes) * width / (height * ASPECT))))


def _rails(net: Net, spacing: Spacing) -> list[float]:
    """The height of every rail."""
    count = max(net.rails.values(), default=-1) + 1
    apart = min(spacing.lane, RAILS_HEIGHT / max(count, 1))
    return [apart * number for number in range(count)]


def _spans(
    net: Net, sizes: Sequence[tuple[float, float]], middles: Sequence[float], spacing: Spacing
) -> list[tuple[float, float]]:
    """Left and right of every column; a channel with many or steep edges is wider."""
    spans: list[tuple[float, float]] = []
    left = 0.0
    for column in net.columns:
        right = left + max(sizes[item][0] for item in column if item < net.boxes)
        spans.append((left, right))
        drops = [abs(middles[one] - middles[other]) for one in column for other in net.after[one]]
        steep = max(drops, default=0.0)
        left = right + spacing.channel + min(spacing.channel * 1.5, 0.06 * steep + 0.4 * len(drops))
    return spans


def _route(
    net: Net, number: int, middles: Sequence[float], rails: Sequence[float], spans: Sequence[tuple[float, float]]
) -> Route:
    source, *_, target = chain = net.chains[number]
    if number in net.rails:
        rail = rails[net.rails[number]]
        first, last = net.column_of[source], net.column_of[target]
        up = Bend(spans[first][1], middles[source], spans[first + 1][0], rail)
        return (up, Bend(spans[last - 1][1], rail, spans[last][0], middles[target]))
    return tuple(
        Bend(spans[net.column_of[one]][1], middles[one], spans[net.column_of[other]][0], middles[other])
        for one, other in itertools.pairwise(chain)
    )

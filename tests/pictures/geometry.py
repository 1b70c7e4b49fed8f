"""Reads an SVG back as boxes and points on its edges: what is drawn is checked, not what was meant."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from xml.etree import ElementTree

SVG = "{http://www.w3.org/2000/svg}"
#: Coordinates are written to a tenth of a pixel.
TOLERANCE = 0.2
STEPS = 24
"""How many points of every part of an edge are looked at, at least; long parts have one every 20 pixels."""


@dataclass(frozen=True)
class Rect:
    left: float
    top: float
    right: float
    bottom: float

    def holds(self, x: float, y: float) -> bool:
        """Whether a point is inside, by more than what rounding makes."""
        return self.left + TOLERANCE < x < self.right - TOLERANCE and self.top + TOLERANCE < y < self.bottom - TOLERANCE


def root_of(svg: str) -> ElementTree.Element:
    """The parsed picture; it fails when the text is not well-formed."""
    return ElementTree.fromstring(svg)


def boxes(svg: str) -> list[Rect]:
    """Every action's box, in the order of the drawing."""
    found = []
    for group in root_of(svg).iter(f"{SVG}g"):
        if "ws-box" in group.get("class", "").split():
            x, y = map(float, re.findall(r"-?[\d.]+", group.get("transform", "")))
            rect = group.find(f"{SVG}rect")
            assert rect is not None
            found.append(Rect(x, y, x + float(rect.get("width", "")), y + float(rect.get("height", ""))))
    return found


def edge_points(svg: str) -> list[tuple[float, float]]:
    """Points close together on every edge."""
    paths = [path.get("d", "") for path in root_of(svg).iter(f"{SVG}path") if "ws-edge" in path.get("class", "")]
    return [point for path in paths for point in points_of(path)]


def points_of(path: str) -> Iterator[tuple[float, float]]:
    """Points on path data of the commands M, L, H and C, in absolute coordinates."""
    x = y = 0.0
    for command, text in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", text)]
        match command:
            case "M":
                x, y = numbers
                yield x, y
                continue
            case "L":
                x1, y1, x2, y2, (x3, y3) = x, y, *numbers, numbers
            case "H":
                x1, y1, x2, y2, x3, y3 = x, y, numbers[0], y, numbers[0], y
            case "C":
                x1, y1, x2, y2, x3, y3 = numbers
            case _:
                raise AssertionError(f"unknown command {command!r}")
        steps = max(STEPS, int(abs(x3 - x) / 20))
        for step in range(steps + 1):
            t = step / steps
            a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
            yield a * x + b * x1 + c * x2 + d * x3, a * y + b * y1 + c * y2 + d * y3
        x, y = x3, y3


def crossed(svg: str) -> list[tuple[Rect, tuple[float, float]]]:
    """Every box with a point of an edge inside of it."""
    columns = columns_of(svg)
    lefts = [column[0].left for column in columns]
    tops = [[rect.top for rect in column] for column in columns]
    found = []
    for x, y in set(edge_points(svg)):
        number = max(bisect_right(lefts, x) - 1, 0)
        # Boxes of a column do not overlap: only the last one that begins above the point can hold it.
        rect = columns[number][max(bisect_right(tops[number], y) - 1, 0)]
        if rect.holds(x, y):
            found.append((rect, (x, y)))
    return found


def columns_of(svg: str) -> list[list[Rect]]:
    """The boxes by column, from left to right and from top to bottom."""
    ordered = sorted(boxes(svg), key=lambda rect: (rect.left, rect.top))
    return [list(column) for _, column in groupby(ordered, key=lambda rect: rect.left)]


def overlapping(svg: str) -> list[tuple[Rect, Rect]]:
    """Every two boxes that share a place: neighbours in a column, or columns that reach into one another."""
    columns = columns_of(svg)
    inside = [pair for column in columns for pair in pairwise(column) if pair[0].bottom > pair[1].top + TOLERANCE]
    widest = [max(column, key=lambda rect: rect.right) for column in columns]
    return inside + [(one, other) for one, other in pairwise(widest) if one.right > other.left + TOLERANCE]

"""The shapes that are measured, as plain graphs: for every action the numbers of those that it waits for.

Actions are numbered so that each waits for lower numbers only. Nothing but the standard library is used here,
since the peers read it too, each in an environment of its own.
"""

from __future__ import annotations

import random

Graph = list[list[int]]


def grid(levels: int, width: int) -> Graph:
    """``levels`` x ``width`` actions, each waiting for two of the level before (for one when it has no more)."""
    graph: Graph = [[] for _ in range(width)]
    for level in range(1, levels):
        start = (level - 1) * width
        graph += [sorted({start + i, start + (i + 1) % width}) for i in range(width)]
    return graph


def fan(width: int) -> Graph:
    """1 -> ``width`` -> 1."""
    return [[], *([0] for _ in range(width)), list(range(1, width + 1))]


def wide(width: int) -> Graph:
    """``width`` actions that wait for nobody."""
    return [[] for _ in range(width)]


def chain(length: int) -> Graph:
    """``length`` actions one after the other."""
    return [[number - 1] if number else [] for number in range(length)]


def random_dag(size: int, seed: int, most: int = 3, reach: int = 100) -> Graph:
    """``size`` actions, each waiting for up to ``most`` of the ``reach`` before it. The same for the same seed."""
    chance = random.Random(seed)
    graph: Graph = []
    for number in range(size):
        before = range(max(0, number - reach), number)
        graph.append(sorted({chance.choice(before) for _ in range(chance.randint(0, most))} if before else ()))
    return graph


def levels(graph: Graph) -> list[list[int]]:
    """The actions by the length of the longest way that leads to them."""
    found: list[list[int]] = []
    level_of: list[int] = []
    for number, before in enumerate(graph):
        level = max((level_of[other] + 1 for other in before), default=0)
        level_of.append(level)
        if level == len(found):
            found.append([])
        found[level].append(number)
    return found

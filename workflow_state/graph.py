"""The graph algorithms, on plain ids: no plan, no I/O, linear time, no recursion.

A graph is given as ``needs``: each node's predecessors, in an order that is kept. Nodes named as a
predecessor but missing as a key are ignored; validation reports them.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

Needs = Mapping[str, Sequence[str]]
#: How many ancestors are looked for in one pass.
WORD: Final = 1024


def successors(needs: Needs) -> dict[str, list[str]]:
    """Who waits for whom: each node's direct dependents, in the order of ``needs``."""
    after: dict[str, list[str]] = {node: [] for node in needs}
    for node, before in needs.items():
        for name in dict.fromkeys(before):
            if name in after:
                after[name].append(node)
    return after


def levels(needs: Needs) -> list[list[str]]:
    """Kahn's algorithm by level: a node's level is one more than that of its latest predecessor.

    Raises:
        ValueError: the graph has a cycle (see :func:`cycles`).
    """
    after = successors(needs)
    waiting = {node: len({name for name in before if name in needs}) for node, before in needs.items()}
    found: list[list[str]] = []
    level = [node for node, count in waiting.items() if count == 0]
    placed = 0
    while level:
        found.append(level)
        placed += len(level)
        following: list[str] = []
        for node in level:
            for name in after[node]:
                waiting[name] -= 1
                if waiting[name] == 0:
                    following.append(name)
        level = following
    if placed != len(needs):
        raise ValueError("the graph has a cycle")
    order = {node: index for index, node in enumerate(needs)}
    return [sorted(level, key=order.__getitem__) for level in found]


def cycles(needs: Needs) -> list[list[str]]:
    """One closed path per knot of the graph, such as ``[a, b, a]`` (a needs b needs a)."""
    found = []
    for component in _strong_components(needs):
        members = set(component)
        first = component[0]
        if len(component) > 1 or first in needs[first]:
            found.append(_closed_path(first, members, needs))
    return found


def ancestries(needs: Needs, pairs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the pairs ``(node, other)`` in which the node waits for the other, directly or not.

    One pass over the levels between them answers for :data:`WORD` others at once, each a bit of one number
    that is handed down from node to node: walking up for each pair takes the square of the graph.

    Raises:
        ValueError: the graph has a cycle.
    """
    found = levels(needs)
    level = level_of(found)
    readers: dict[str, list[str]] = {}
    for node, other in pairs:
        readers.setdefault(other, []).append(node)
    others = sorted(readers, key=level.__getitem__)
    true: set[tuple[str, str]] = set()
    for start in range(0, len(others), WORD):
        bits = {name: 1 << n for n, name in enumerate(others[start : start + WORD])}
        last = max(level[node] for name in bits for node in readers[name])
        above: dict[str, int] = {}
        for node in itertools.chain.from_iterable(found[level[others[start]] : last + 1]):
            above[node] = functools.reduce(
                operator.or_, (above.get(name, 0) | bits.get(name, 0) for name in needs[node]), 0
            )
        true.update((node, name) for name in bits for node in readers[name] if above.get(node, 0) & bits[name])
    return true


def level_of(found: Iterable[Sequence[str]]) -> dict[str, int]:
    """Each node's level number, from what :func:`levels` returned."""
    return {node: number for number, level in enumerate(found) for node in level}


def _strong_components(needs: Needs) -> list[list[str]]:
    """Tarjan's strongly connected components, with an explicit stack: plans may be 100,000 deep."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    on_path: set[str] = set()
    found: list[list[str]] = []
    for root in needs:
        if root in index:
            continue
        work = [(root, iter(needs[root]))]
        index[root] = low[root] = len(index)
        path.append(root)
        on_path.add(root)
        while work:
            node, before = work[-1]
            deeper = next((name for name in before if name in needs and name not in index), None)
            if deeper is not None:
                index[deeper] = low[deeper] = len(index)
                path.append(deeper)
                on_path.add(deeper)
                work.append((deeper, iter(needs[deeper])))
                continue
            work.pop()
            low[node] = min([low[node], *(low[name] for name in needs[node] if name in on_path)])
            if low[node] == index[node]:
                component: list[str] = []
                while not component or component[-1] != node:
                    component.append(path.pop())
                on_path.difference_update(component)
                found.append(component[::-1])
    return found


def _closed_path(first: str, members: set[str], needs: Needs) -> list[str]:
    """The shortest way from ``first`` back to itself inside its component (breadth first)."""
    came_from: dict[str, str] = {}
    queue = [first]
    for node in queue:
        for name in needs[node]:
            if name == first:
                trail = [first]
                while node != first:
                    trail.append(node)
                    node = came_from[node]
                return [first, *reversed(trail[1:]), first]
            if name in members and name not in came_from:
                came_from[name] = node
                queue.append(name)
    raise AssertionError(f"{first!r} is not in a cycle")

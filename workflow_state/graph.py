"""The graph algorithms, on plain ids: no plan, no I/O, linear time, no recursion.

A graph is given as ``needs``: each node's predecessors, in an order that is kept. Nodes named as a
predecessor but missing as a key are ignored; validation reports them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

Needs = Mapping[str, Sequence[str]]


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


def has_ancestor(needs: Needs, node: str, ancestor: str, level: Mapping[str, int]) -> bool:
    """Whether ``node`` waits for ``ancestor``, directly or not; levels bound how far up it looks."""
    floor = level[ancestor]
    seen = {node}
    stack = [node]
    while stack:
        for name in needs[stack.pop()]:
            if name == ancestor:
                return True
            if name not in seen and level.get(name, -1) > floor:
                seen.add(name)
                stack.append(name)
    return False


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

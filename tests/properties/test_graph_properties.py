"""The graph algorithms against their definitions, on random graphs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_state.graph import ancestries, cycles, level_of, levels, successors

Graph = dict[str, list[str]]


@st.composite
def graphs(draw: st.DrawFn, acyclic: bool) -> Graph:
    """Up to twelve nodes in any order, with doubled edges and edges to nodes that do not exist."""
    names = [f"n{n}" for n in range(draw(st.integers(0, 12)))]
    needs: Graph = {}
    for n, name in enumerate(names):
        candidates = names[:n] if acyclic else names
        needs[name] = draw(st.lists(st.sampled_from([*candidates, "stranger"]), max_size=4))
    return {name: needs[name] for name in draw(st.permutations(names))}


def known(needs: Graph, node: str) -> list[str]:
    return [name for name in needs[node] if name in needs]


def reachable(needs: Graph) -> dict[str, set[str]]:
    """Each node's ancestors, by adding the ancestors of its predecessors until nothing changes."""
    found = {node: set(known(needs, node)) for node in needs}
    changed = True
    while changed:
        changed = False
        for ancestors in found.values():
            more = set().union(*(found[name] for name in ancestors)) - ancestors
            changed = changed or bool(more)
            ancestors |= more
    return found


def longest_way_up(needs: Graph, node: str) -> int:
    """The definition of a level: the number of edges on the longest way to a node without predecessors."""
    return max((longest_way_up(needs, name) + 1 for name in known(needs, node)), default=0)


def is_closed_path(needs: Graph, path: Sequence[str]) -> bool:
    edges = itertools.pairwise(path)
    return len(path) > 1 and path[0] == path[-1] and all(later in needs[node] for node, later in edges)


class TestLevels:
    @given(graphs(acyclic=True))
    def test_levels_are_the_longest_way_up(self, needs: Graph) -> None:
        """Every node is on exactly one level, that of its longest way up; no level is empty."""
        found = levels(needs)
        assert all(found)
        assert sorted(node for level in found for node in level) == sorted(needs)
        assert level_of(found) == {node: longest_way_up(needs, node) for node in needs}

    @given(graphs(acyclic=True))
    def test_levels_keep_the_order_of_the_graph(self, needs: Graph) -> None:
        """Inside a level, nodes stand in the order in which the graph names them."""
        order = list(needs)
        for level in levels(needs):
            assert level == sorted(level, key=order.index)

    @given(graphs(acyclic=False))
    def test_levels_exist_exactly_where_no_cycle_does(self, needs: Graph) -> None:
        """``levels`` refuses a graph exactly when ``cycles`` finds something."""
        try:
            levels(needs)
        except ValueError:
            assert cycles(needs)
        else:
            assert not cycles(needs)


class TestCycles:
    @settings(max_examples=300)
    @given(graphs(acyclic=False))
    def test_a_cycle_is_found_exactly_when_there_is_one(self, needs: Graph) -> None:
        """Some node is its own ancestor if and only if a closed path is given, and the paths are real."""
        above = reachable(needs)
        found = cycles(needs)
        assert bool(found) == any(node in above[node] for node in needs)
        for path in found:
            assert is_closed_path(needs, path)
            assert len(set(path)) == len(path) - 1

    @settings(max_examples=300)
    @given(graphs(acyclic=False))
    def test_every_knot_has_one_path(self, needs: Graph) -> None:
        """Nodes that reach each other form one knot, and each knot is reported exactly once."""
        above = reachable(needs)
        tied = [node for node in needs if node in above[node]]
        knots = {frozenset(a for a in tied if a in above[b] and b in above[a]) for b in tied}
        found = cycles(needs)
        assert len(found) == len(knots)
        assert {knot for knot in knots for path in found if set(path) <= knot} == knots

    @given(graphs(acyclic=False))
    def test_a_path_is_the_shortest_through_its_node(self, needs: Graph) -> None:
        """No shorter way leads from the path's first node back to it."""
        for path in cycles(needs):
            front, steps = {path[0]}, 0
            while steps == 0 or path[0] not in front:
                front = {name for node in front for name in known(needs, node)}
                steps += 1
            assert steps == len(path) - 1

    @given(graphs(acyclic=True))
    def test_a_dag_has_none(self, needs: Graph) -> None:
        """Where every edge points back in some order, there is no cycle."""
        assert cycles(needs) == []


class TestAncestors:
    @given(graphs(acyclic=True))
    def test_ancestors_are_those_that_can_be_reached(self, needs: Graph) -> None:
        """For every pair of nodes the answer is that of the transitive closure."""
        above = reachable(needs)
        expected = {(node, name) for node in needs for name in above[node]}
        assert ancestries(needs, itertools.product(needs, needs)) == expected

    @given(graphs(acyclic=False))
    def test_successors_are_the_edges_turned_round(self, needs: Graph) -> None:
        """A node is a successor of another exactly when it needs it, once, in the order of the graph."""
        assert successors(needs) == {node: [other for other in needs if node in needs[other]] for node in needs}

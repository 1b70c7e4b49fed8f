"""The promises of the graph algorithms, on examples; tests/properties has them on random graphs."""

from __future__ import annotations

import pytest

from workflow_state.graph import WORD, ancestries, cycles, level_of, levels, successors

DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
DEEP = 100_000


@pytest.fixture(scope="module")
def chain() -> dict[str, list[str]]:
    """A graph of 100,000 nodes in a row, the last one first."""
    return {str(n): [str(n - 1)] if n else [] for n in reversed(range(DEEP))}


class TestSuccessors:
    def test_who_waits_for_whom(self) -> None:
        """Every node has its direct dependents, in the order of the graph; most have none."""
        assert successors(DIAMOND) == {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}

    def test_doubles_and_strangers(self) -> None:
        """A predecessor named twice counts once, one that is no node is ignored."""
        assert successors({"a": ["x"], "b": ["a", "a", "x"]}) == {"a": ["b"], "b": []}


class TestLevels:
    @pytest.mark.parametrize(
        ("needs", "expected"),
        [
            ({}, []),
            ({"a": []}, [["a"]]),
            ({"b": [], "a": []}, [["b", "a"]]),
            (DIAMOND, [["a"], ["b", "c"], ["d"]]),
            ({"d": ["c", "b"], "c": ["a"], "b": ["a"], "a": []}, [["a"], ["c", "b"], ["d"]]),
            ({"a": [], "b": ["a"], "late": ["b", "a"], "early": ["a"]}, [["a"], ["b", "early"], ["late"]]),
            ({"a": ["stranger"], "b": ["a", "a"]}, [["a"], ["b"]]),
        ],
    )
    def test_a_node_is_one_level_after_its_latest_predecessor(
        self, needs: dict[str, list[str]], expected: list[list[str]]
    ) -> None:
        """Levels come in order of execution, and inside a level the order of the graph is kept."""
        assert levels(needs) == expected

    @pytest.mark.parametrize("needs", [{"a": ["a"]}, {"a": ["b"], "b": ["a"], "c": []}])
    def test_a_cycle_has_no_levels(self, needs: dict[str, list[str]]) -> None:
        """A graph with a cycle is refused."""
        with pytest.raises(ValueError, match="cycle"):
            levels(needs)

    def test_the_number_of_each_nodes_level(self) -> None:
        """``level_of`` turns levels into a number for each node, from 0."""
        assert level_of(levels(DIAMOND)) == {"a": 0, "b": 1, "c": 1, "d": 2}

    def test_a_chain_of_100000(self, chain: dict[str, list[str]]) -> None:
        """Depth is bounded by memory, not by Python's stack."""
        assert levels(chain) == [[str(n)] for n in range(DEEP)]


class TestCycles:
    @pytest.mark.parametrize(
        ("needs", "expected"),
        [
            ({}, []),
            (DIAMOND, []),
            ({"a": ["stranger"]}, []),
            ({"a": ["a"]}, [["a", "a"]]),
            ({"a": ["b"], "b": ["a"]}, [["a", "b", "a"]]),
            ({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}, [["a", "b", "c", "a"]]),
            ({"a": ["b"], "b": ["a"], "c": ["d", "a"], "d": ["c"]}, [["a", "b", "a"], ["c", "d", "c"]]),
            ({"a": ["b"], "b": ["a", "b"]}, [["a", "b", "a"]]),
            ({"a": ["b", "c"], "b": ["c"], "c": ["a"]}, [["a", "c", "a"]]),
        ],
    )
    def test_each_knot_is_shown_once_by_a_closed_path(
        self, needs: dict[str, list[str]], expected: list[list[str]]
    ) -> None:
        """A path starts and ends at the same node, each needs the next, and it is as short as can be."""
        assert cycles(needs) == expected

    def test_a_chain_of_100000(self, chain: dict[str, list[str]]) -> None:
        """A deep graph without a cycle is found to have none."""
        assert cycles(chain) == []

    def test_a_ring_of_100000(self, chain: dict[str, list[str]]) -> None:
        """A deep cycle is found, and its path has every node of it."""
        (path,) = cycles({**chain, "0": [str(DEEP - 1)]})
        assert len(path) == DEEP + 1
        assert path[0] == path[-1]
        assert len(set(path)) == DEEP


class TestAncestors:
    @pytest.mark.parametrize(
        ("node", "ancestor", "expected"),
        [
            ("d", "a", True),
            ("d", "b", True),
            ("b", "a", True),
            ("a", "d", False),
            ("b", "c", False),
            ("a", "a", False),
        ],
    )
    def test_direct_and_indirect_ancestors(self, node: str, ancestor: str, expected: bool) -> None:
        """A node waits for whom it needs, and for whom they need; not for itself or its dependents."""
        assert ancestries(DIAMOND, [(node, ancestor)]) == ({(node, ancestor)} if expected else set())

    def test_strangers_on_the_way(self) -> None:
        """Predecessors that are no nodes lead nowhere."""
        needs = {"a": [], "b": ["stranger", "a"], "c": ["stranger", "b"], "d": ["stranger"]}
        assert ancestries(needs, [("c", "a"), ("d", "a")]) == {("c", "a")}

    def test_a_chain_of_100000(self, chain: dict[str, list[str]]) -> None:
        """The way up may be as long as the graph is deep."""
        last = str(DEEP - 1)
        assert ancestries(chain, [(last, "0"), ("0", last)]) == {(last, "0")}

    def test_more_ancestors_than_one_pass_looks_for(self) -> None:
        """However many ancestors are asked for, each pair gets its own answer."""
        chain = {str(n): [str(n - 1)] if n else [] for n in range(WORD * 2 + 10)}
        last, pairs = str(len(chain) - 1), [(str(len(chain) - 1), name) for name in chain]
        assert ancestries({**chain, "z": []}, [*pairs, (last, "z")]) == {(last, name) for name in chain if name != last}

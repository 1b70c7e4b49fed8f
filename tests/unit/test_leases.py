"""Heartbeats: whose lease is renewed, and what is said of those that are gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from workflow_state.runtime.leases import LeaseKeeper

Renew = Callable[[str, Iterable[tuple[str, int]], int, str], list[str]]


def keeper_of(renew: Renew) -> LeaseKeeper:
    """One whose store knows leases alone."""
    store: Any = SimpleNamespace(renew=renew)
    return LeaseKeeper(store, 60_000)


def test_what_is_held_is_renewed() -> None:
    """All leases of an execution in one call, until they are let go."""
    asked: list[tuple[str, list[tuple[str, int]]]] = []

    def renew(execution_id: str, leases: Iterable[tuple[str, int]], _lease_ms: int, _created: str) -> list[str]:
        asked.append((execution_id, list(leases)))
        return []

    keeper = keeper_of(renew)
    with keeper.hold("e", "1", ("a", 1), ("b", 3)) as let_go:
        keeper.beat()
        let_go(["a"])
        keeper.beat()
    keeper.beat()
    assert asked == [("e", [("a", 1), ("b", 3)]), ("e", [("b", 3)])]


def test_only_a_lease_that_is_needed_is_missed(caplog: pytest.LogCaptureFixture) -> None:
    """A lease that went to another while its action runs is worth a warning; that of an action that ended while the
    heartbeat was on its way is not.
    """
    let_go_of: list[Callable[[Iterable[str]], None]] = []

    def renew(_execution_id: str, leases: Iterable[tuple[str, int]], _lease_ms: int, _created: str) -> list[str]:
        let_go_of[0](["ended"])
        return [name for name, _ in leases]

    keeper = keeper_of(renew)
    with keeper.hold("e", "1", ("ended", 1), ("runs", 1)) as let_go:
        let_go_of.append(let_go)
        keeper.beat()
    assert [("'runs'" in text, "'ended'" in text) for text in caplog.messages] == [(True, False)]


def test_an_id_that_is_used_again_is_another_lease() -> None:
    """A process may still run an action of an execution that was deleted when it begins the next one of its id."""
    asked: list[tuple[str, str, list[tuple[str, int]]]] = []

    def renew(execution_id: str, leases: Iterable[tuple[str, int]], _lease_ms: int, created: str) -> list[str]:
        asked.append((execution_id, created, list(leases)))
        return []

    keeper = keeper_of(renew)
    with keeper.hold("e", "2", ("a", 1)):
        with keeper.hold("e", "1", ("a", 1)):
            keeper.beat()
        keeper.beat()
    assert asked == [("e", "2", [("a", 1)]), ("e", "1", [("a", 1)]), ("e", "2", [("a", 1)])]

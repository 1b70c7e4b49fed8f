"""What is read of an execution that expires, or is deleted, at that very moment: all of it, or that it is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.apps import own_app
from workflow_state import ExecutionNotFoundError, StateManager

PLAN = {"actions": [{"id": "a", "actionDefinitionId": "x"}]}


@pytest.fixture
def manager(database: Callable[[], str]) -> Iterator[StateManager]:
    """Of an app of its own."""
    found = own_app.make_app()
    found.conf.update(broker_url=(url := database()), result_backend=url)
    yield StateManager(found)
    found.close()


READS: dict[str, tuple[str, Callable[[StateManager, str], Any]]] = {
    "state": ("outputs", lambda manager, name: manager.get_full_state(name)),
    "result": ("outputs", lambda manager, name: manager.get_action_result(name, "a")),
    "record": ("records", lambda manager, name: manager.get_action_result(name, "a")),
    "history": ("log", lambda manager, name: manager.history(name)),
}


@pytest.mark.parametrize("read", READS)
def test_no_half_of_an_expired_execution_is_read(
    manager: StateManager, read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that expires between two reads is not found: its outputs were given as None, its actions as not ended."""
    execution_id = manager.initialize_state(PLAN, start=False).id
    manager.update_action_status(execution_id, "a", "running")
    manager.record_action_result(execution_id, "a", 42)
    name, call = READS[read]
    store = manager._engine.store
    real = getattr(store, name)

    def expired(*args: Any, **options: Any) -> Any:
        store.results.client.flushdb()
        return real(*args, **options)

    monkeypatch.setattr(store, name, expired)
    with pytest.raises(ExecutionNotFoundError):
        call(manager, execution_id)


def test_all_of_an_execution_expires_at_the_same_moment(manager: StateManager) -> None:
    """Records and results of a plan of several slices have one and the same end."""
    actions = [{"id": f"a{n}", "actionDefinitionId": "x"} for n in range(1500)]
    execution_id = manager.initialize_state({"actions": actions}, start=False).id
    manager.cancel_execution(execution_id)
    client = manager._engine.store.results.client
    keys = [key for key in client.keys("*") if client.ttl(key) > 0]
    assert len(keys) > 1500
    assert len({client.pexpiretime(key) for key in keys}) == 1

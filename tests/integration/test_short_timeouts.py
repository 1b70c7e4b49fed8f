"""Waiting on the server where its answers may not take long (``redis_socket_timeout``)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.integration.apps import own_app
from workflow_state import Event, StateManager

ANSWER = 0.4
"""Seconds that an answer of the server may take."""


@pytest.fixture
def manager(database: Callable[[], str]) -> Iterator[StateManager]:
    """Of an app whose connections wait for no answer for long."""
    found = own_app.make_app()
    found.conf.update(broker_url=(url := database()), result_backend=url, redis_socket_timeout=ANSWER)
    yield StateManager(found)
    found.close()


def stored(manager: StateManager) -> str:
    """An execution that its test drives."""
    return manager.initialize_state({"actions": [{"id": "a", "actionDefinitionId": "x"}]}, start=False).id


def test_waiting_takes_longer_than_an_answer_may(manager: StateManager) -> None:
    """``wait`` keeps to its own time limit, whatever that of a connection is: it failed as if the server was away."""
    with pytest.raises(TimeoutError, match="has not ended within 1 s; it goes on"):
        manager.wait(stored(manager), timeout=3 * ANSWER - 0.2)


def test_watching_outlasts_a_silence(manager: StateManager) -> None:
    """``watch`` goes on where nothing happens for longer than an answer of the server may take."""
    execution_id = stored(manager)
    seen: list[Event] = []
    watcher = threading.Thread(target=lambda: seen.extend(manager.watch(execution_id)), daemon=True)
    watcher.start()
    watcher.join(3 * ANSWER)
    manager.cancel_execution(execution_id)
    watcher.join(20)
    assert [event.type for event in seen][-1:] == ["plan.execution.cancelled"]

"""The store's Lua scripts against a model, under any interleaving of callers, crashes and passing time."""

from __future__ import annotations

from collections.abc import Callable

import fakeredis
import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.flow_machine import FlowMachine
from tests.properties.store_machine import StoreMachine

MACHINES = {"levels": StoreMachine, "dataflow": FlowMachine}


def play(client: redis.Redis, machine: type[StoreMachine], examples: int) -> None:
    """Play that many games against a server."""
    rules = settings(
        max_examples=examples, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(lambda: machine(client), settings=rules)


@pytest.mark.parametrize("schedule", MACHINES)
def test_the_scripts_on_a_real_server(schedule: str, database: Callable[[], str]) -> None:
    """On a real server: under any interleaving an action has at most one live lease, tokens grow, what has
    ended never changes, the open counter is right, results exist exactly for ended actions, a refused call
    changes nothing, and no deadline is missing or left over; as a data flow, an action's turn comes once, when all
    of its needs have ended.
    """
    with redis.Redis.from_url(database()) as client:
        play(client, MACHINES[schedule], 100)


@pytest.mark.parametrize("schedule", MACHINES)
def test_the_scripts_on_the_in_memory_server(schedule: str) -> None:
    """The same on fakeredis, whose Lua runs the very same scripts."""
    play(fakeredis.FakeRedis(server_type="valkey"), MACHINES[schedule], 20)

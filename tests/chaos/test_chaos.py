"""Processes die, connections drop, the server goes: every plan ends, and as if nothing had happened."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.chaos.conftest import STORM
from tests.chaos.plans import layered, outcome, tangled
from tests.chaos.scene import Scene
from tests.chaos.storm import Storm

BOUND = 240.0
"""Seconds until a run must have ended; half a minute is usual."""

PAUSE, SHORT_PAUSE = (0.6, 1.4), (0.3, 0.7)
"""Seconds between two events, from and to."""


LOOSE = "loose"
"""The queue whose messages are gone when a worker has taken them."""


def conf_of(kind: str) -> dict[str, Any]:
    """What the app of a kind of run has beside the durable settings."""
    if kind != "unacknowledged":
        return {}
    return {"task_queues": {"celery": {}, LOOSE: {"no_ack": True}}, "worker_disable_prefetch": True}


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """A plan, and how it ends when nothing happens."""

    plan: dict[str, Any]
    outcome: Mapping[str, Any]


@pytest.fixture(scope="module")
def undisturbed(long: bool, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Undisturbed]:
    """The plan of a schedule, run once on workers in peace: 1,000 actions of 5 to 50 ms, in 10 levels or in none,
    or in levels whose actions share messages, or have messages that nobody acknowledges.

    The short form has 160, and longer ones: it has fewer kills, and one of them has to hit.
    """
    in_levels = layered(10, 100) if long else layered(4, 40, pause=(20, 120))
    plans = {
        "levels": in_levels,
        "batches": {**in_levels, "batch_size": 5},
        "dataflow": tangled(1000) if long else tangled(160, pause=(20, 120)),
        "unacknowledged": {**in_levels, "actions": [{**one, "queue": LOOSE} for one in in_levels["actions"]]},
    }

    @functools.cache
    def run(schedule: str) -> Undisturbed:
        with Scene(tmp_path_factory.mktemp("undisturbed"), **conf_of(schedule)) as scene, scene.fleet() as fleet:
            execution_id = scene.start(plans[schedule])
            state = scene.wait_closed(execution_id, BOUND, fleet)
        assert state.status == "completed"
        return Undisturbed(plans[schedule], outcome(state))

    return run


@pytest.mark.timeout(BOUND + 60)
def test_every_plan_ends_as_if_undisturbed(
    schedule: str,
    seed: int,
    long: bool,
    undisturbed: Callable[[str], Undisturbed],
    tmp_path_factory: pytest.TempPathFactory,
    record_property: Callable[[str, object], None],
) -> None:
    """While about every second a pool child or a main process is killed, connections are dropped, and the
    server is restarted, killed, or loses its last second: the execution ends; its final state is that of an
    undisturbed run; each action has one recorded result; no key is left for ever, no deadline at all.
    """
    plan, expected = undisturbed(schedule).plan, undisturbed(schedule).outcome
    actions = len(plan["actions"])
    with Scene(tmp_path_factory.mktemp(f"seed-{seed}"), **conf_of(schedule)) as scene, scene.fleet() as fleet:
        execution_id = scene.start(plan)
        scene.wait_started(execution_id, plan["actions"][0]["id"])
        report = Storm(scene, fleet, actions, seed, PAUSE if long else SHORT_PAUSE).rage(execution_id, BOUND)
        record_property(STORM, report.row(schedule))
        state = scene.state(execution_id)
        assert outcome(state) == expected
        assert outcome(type(state).model_validate(scene.result(execution_id).result)) == expected
        assert len(state.action_states) == actions
        scene.check_clean(execution_id)
        assert report.cut_off > 0, "no kill hit a running action: this run has shown nothing"
        assert report.events[report.outage] > 0, "the server never went: this run has shown nothing"

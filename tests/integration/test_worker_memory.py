"""What a task of the engine held is free when it has ended, whatever Python's collector of garbage does."""

from __future__ import annotations

import gc
import json
import uuid
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from celery import Celery, states
from celery.app.trace import TraceInfo, build_tracer

from tests.integration.apps import own_app
from workflow_state import PlanExecutionError, StateManager, execute_plan
from workflow_state.runtime import tasks

PLAN = json.dumps({"actions": [{"id": "a", "actionDefinitionId": "test.echo", "inputs": {"value": "x" * 1000}}]})


class Text(str):
    """A text of which one can tell that it is gone."""

    __slots__ = ("__weakref__",)


@pytest.fixture
def app(database: Callable[[], str]) -> Iterator[Celery]:
    """A user's app on a server; nobody but the test runs its tasks."""
    found = own_app.make_app()
    found.conf.update(broker_url=(url := database()), result_backend=url)
    found.set_current()
    yield found
    found.close()


@contextmanager
def no_collector() -> Iterator[None]:
    """As between two looks of the collector."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def traced(app: Celery, name: str, execution_id: str, *args: object) -> TraceInfo:
    """Run a task as a process of a worker does."""
    task = app.tasks[name]
    request = {"id": execution_id, "hostname": "w@test", "delivery_info": {}}
    return build_tracer(name, task, app=app)(execution_id, list(args), {}, request)


def test_an_accepted_plan_does_not_stay_in_memory(app: Celery) -> None:
    """The text of each plan stayed in the process that had accepted it, until the collector happened to look: a few
    hundred long ones were hundreds of megabytes.
    """
    plan = Text(PLAN)
    there = weakref.ref(plan)
    with no_collector():
        traced(app, execute_plan.name, str(uuid.uuid4()), plan)
        del plan
        assert there() is None


@pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")  # Celery's own call
def test_the_state_of_a_failed_plan_does_not_stay_in_memory(app: Celery) -> None:
    """The error of a failed plan holds its whole final state, which is let go of when it is stored."""
    manager = StateManager(app)
    execution_id = manager.initialize_state(PLAN).id
    manager.cancel_execution(execution_id)
    with no_collector():
        assert traced(app, tasks.finish.name, execution_id, execution_id).info.state == states.FAILURE
        errors = [found for found in gc.get_objects() if isinstance(found, PlanExecutionError)]
        assert execution_id not in [error.execution_id for error in errors]
    assert manager.get_full_state(execution_id).status == "cancelled"

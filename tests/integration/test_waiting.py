"""``get()`` of an execution when what should wake it is lost, and while the server is away."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator

import pytest
import redis
from celery import Celery
from celery.exceptions import TimeoutError as CeleryTimeoutError

from tests.integration.apps import own_app
from tests.support import wait_until
from workflow_state import Event, ExecutionState, PlanResult, StateManager, execute_plan
from workflow_state.embedded import EmbeddedServer
from workflow_state.runtime import waiting
from workflow_state.runtime.engine import engine_of

TIMEOUT = 20

pytestmark = pytest.mark.redis


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """One of the test's own."""
    with EmbeddedServer() as found:
        yield found


@pytest.fixture
def app(server: EmbeddedServer) -> Iterator[Celery]:
    """A client that gives up a lost connection soon."""
    quick = {"retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}}
    app = own_app.make_app()
    app.conf.update(broker_url=server.url, result_backend=server.url, result_backend_transport_options=quick)
    yield app
    app.close()
    app.backend.client.close()


def result_of(app: Celery) -> PlanResult:
    """Of an execution that has not ended."""
    return app.tasks[execute_plan.name].AsyncResult(str(uuid.uuid4()))


def end(app: Celery, result: PlanResult) -> None:
    """Store its final state, and say so to nobody."""
    state = {"id": result.id, "plan_id": "p", "status": "completed", "metrics": {}, "action_states": {}}
    results = engine_of(app).store.results
    payload = results.final(result.id, ExecutionState.model_validate(state).to_json_dict(), None)
    results.client.set(results.task_key(result.id), payload)


def test_a_result_that_nobody_tells_of_is_found(app: Celery) -> None:
    """What wakes a waiting caller may be lost with a connection that is dead without its knowing: it looks itself."""
    result, found = result_of(app), []
    waiter = threading.Thread(target=lambda: found.append(result.get(timeout=TIMEOUT)))
    waiter.start()
    client = app.backend.client
    wait_until(lambda: client.pubsub_numsub(app.backend.get_key_for_task(result.id))[0][1] == 1, TIMEOUT)
    end(app, result)
    waiter.join(TIMEOUT)
    assert [state.status for state in found] == ["completed"]


@pytest.mark.parametrize("timeout", [0, 0.2])
def test_the_last_look_is_at_the_end(app: Celery, timeout: float) -> None:
    """Also one that is over before the first look is due; no time at all is one look."""
    result = result_of(app)
    with pytest.raises(CeleryTimeoutError):
        result.get(timeout=timeout)
    end(app, result)
    assert result.get(timeout=timeout).status == "completed"


def test_a_timeout_holds_while_the_server_is_away(app: Celery, server: EmbeddedServer) -> None:
    """The plan has not ended in time, as far as anybody can tell; to wait for the server could take for ever."""
    result = result_of(app)
    server.kill()
    began = time.monotonic()
    with pytest.raises(CeleryTimeoutError, match="the server is away"):
        result.get(timeout=1)
    assert time.monotonic() - began < 5
    server.start()
    end(app, result)
    assert result.get(timeout=TIMEOUT).status == "completed"


def test_an_outage_is_waited_out(app: Celery, server: EmbeddedServer) -> None:
    """Longer than Celery tries to get its connection back, and by two threads, of which it only tells one."""
    results, found = [result_of(app), result_of(app)], []
    waiters = [threading.Thread(target=lambda r=r: found.append(r.get(timeout=60))) for r in results]
    for waiter in waiters:
        waiter.start()
    keys = [app.backend.get_key_for_task(result.id) for result in results]
    client = app.backend.client
    wait_until(lambda: all(count == 1 for _, count in client.pubsub_numsub(*keys)), TIMEOUT)
    server.kill()
    back = time.monotonic() + 3
    wait_until(lambda: time.monotonic() > back, 10, "Celery has given up")
    server.start()
    for result in results:
        end(app, result)
    for waiter in waiters:
        waiter.join(TIMEOUT)
    assert [state.status for state in found] == ["completed", "completed"]


@pytest.mark.parametrize("from_the_start", [True, False])
def test_a_server_that_is_busy_is_waited_for(
    from_the_start: bool, app: Celery, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that a script of somebody else keeps busy answers every command with an error: the caller waits on."""
    monkeypatch.setattr(waiting, "LOOK", 0.2)
    result, found = result_of(app), []
    waiter = threading.Thread(target=lambda: found.append(result.get(timeout=TIMEOUT)))
    with redis.Redis.from_url(server.url) as client, redis.Redis.from_url(server.url) as other:
        client.config_set("lua-time-limit", 50)
        if not from_the_start:
            waiter.start()
            wait_until(lambda: client.pubsub_numsub(app.backend.get_key_for_task(result.id))[0][1] == 1, TIMEOUT)
        busy = threading.Thread(target=keep_busy, args=(other,))
        busy.start()
        wait_until(lambda: is_busy(client), TIMEOUT, "the server is busy")
        if from_the_start:
            waiter.start()
        waiter.join(1)
        client.script_kill()
        busy.join(TIMEOUT)
    end(app, result)
    waiter.join(TIMEOUT)
    assert [state.status for state in found] == ["completed"]


def keep_busy(client: redis.Redis) -> None:
    """Run a script until somebody kills it."""
    with pytest.raises(redis.ResponseError, match="SCRIPT KILL"):
        client.eval("while true do end", 0)


def is_busy(client: redis.Redis) -> bool:
    """Whether a script runs for too long."""
    try:
        return not client.ping()
    except redis.ResponseError as error:
        return str(error).startswith("BUSY ")


def test_a_change_of_the_servers_role_is_waited_out(app: Celery, server: EmbeddedServer) -> None:
    """A master that becomes a replica, as in a planned failover, lets go of all who wait on it: ``watch`` and ``wait``
    do so again.
    """
    manager, client = StateManager(app), app.backend.client
    execution_id = manager.initialize_state({"actions": [{"id": "a", "actionDefinitionId": "x"}]}, start=False).id
    seen: list[Event] = []
    ended: list[ExecutionState] = []
    waiters = [
        threading.Thread(target=lambda: seen.extend(manager.watch(execution_id))),
        threading.Thread(target=lambda: ended.append(manager.wait(execution_id, TIMEOUT))),
    ]
    for waiter in waiters:
        waiter.start()
    for master in ("127.0.0.1 1", "NO ONE") * 3:
        wait_until(lambda: client.info("clients")["blocked_clients"] == 2, TIMEOUT, "both wait")
        client.replicaof(*master.split())
    manager.cancel_execution(execution_id)
    for waiter in waiters:
        waiter.join(TIMEOUT)
    assert [event.type for event in seen][-1:] == ["plan.execution.cancelled"]
    assert [state.status for state in ended] == ["cancelled"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_waits_on_a_connection_of_its_own(app: Celery) -> None:
    """What the server says to a process is not read by one that was forked from it, nor the other way round."""
    task = app.tasks[execute_plan.name]
    plan = {"actions": [{"id": "a", "actionDefinitionId": "x"}]}
    parents = task.delay(plan)
    child = os.fork()
    if child == 0:
        asked = None
        try:
            asked = task.apply_async((plan,), task_id="of-the-child")
        finally:
            # At once, while it waits for its result.
            os._exit(0 if asked else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    keys = [app.backend.get_key_for_task(name) for name in (parents.id, "of-the-child")]
    client = app.backend.client
    wait_until(lambda: [count for _, count in client.pubsub_numsub(*keys)] == [1, 0], TIMEOUT, "the child's has ended")

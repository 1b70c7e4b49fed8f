"""RabbitMQ as broker, Redis for results: plans, retries, recovery, remote actions and events are the same there."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterator

import pytest
from amqp.exceptions import NotFound

from tests.integration.apps import own_app
from tests.integration.outcomes import QUICK, TIMEOUT, output, run
from tests.integration.services import running_service
from tests.integration.test_events import collector, ended, listening, of
from tests.rabbitmq import BrokerNotFoundError, running_rabbitmq
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import StateManager, execute_plan
from workflow_state.doctor import check_setup

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rabbit(database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The user's app with its broker on RabbitMQ, events on, one worker, and its client side current."""
    try:
        with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as broker:
            found = Site(own_app.make_app(), own_app.__name__, database(), tmp_path_factory.mktemp("rabbit-site"))
            settings = {"broker_url": broker, "broker_transport_options": {}}
            found.app.conf.update(settings, workflow_state={**own_app.SETTINGS, "events": True})
            found.settings(**settings, workflow_state={"events": True})
            try:
                found.start_worker()
                with found.current():
                    yield found
            finally:
                found.close()
    except BrokerNotFoundError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI=true and no broker: {error}")
        pytest.skip(f"no broker: {error}")


def test_a_plan_runs_and_its_events_arrive(rabbit: Site) -> None:
    """Retries, data and the order of events are those of Redis; a listener's pattern is a binding of RabbitMQ's."""
    listener, seen = collector(rabbit)
    actions, started = collector(rabbit, "plan.execution.*")
    with listening(listener), listening(actions):
        retried = action("a", "test.flaky", inputs={"times": 1, "value": 5}, retry=QUICK)
        state = run(plan(retried, action("b", "test.value", "a", inputs={"value": "${a.output}"})))
        wait_until(lambda: ended(seen, state.id), TIMEOUT)
        wait_until(lambda: len(started) == 2, TIMEOUT)
    assert (state.status, output(state, "b")) == ("completed", 5)
    assert of(seen, state.id) == StateManager().history(state.id)
    assert [event.type for event in started] == ["plan.execution.started", "plan.execution.completed"]


def test_a_named_queue_is_declared_and_deleted(rabbit: Site) -> None:
    """It gathers what nobody reads, until it is deleted with all that is in it."""
    listener, _ = collector(rabbit, queue=f"named-{uuid.uuid4().hex}")

    def gathered() -> int:
        with rabbit.app.connection_for_read() as connection, connection.channel() as channel:
            return int(listener.queue(channel).queue_declare(passive=True).message_count)

    listener.declare()
    assert run(plan(action("a"))).status == "completed"
    wait_until(lambda: gathered() == 4, TIMEOUT, "its events are gathered")
    listener.delete()
    with pytest.raises(NotFound):
        gathered()


def test_a_remote_action_is_asked_for_and_answered(rabbit: Site) -> None:
    """Requests and answers go over RabbitMQ; a service that is killed gives its request back at once."""
    gate = uuid.uuid4().hex
    remote = action("a", "test.remote", inputs={"value": 3, "gate": gate})
    with running_service(rabbit) as service:
        result = execute_plan.delay(plan(remote))
        rabbit.wait_started(gate)
        service.kill()
    with running_service(rabbit):
        rabbit.wait_started(gate, 2)
        rabbit.open_gate(gate, 2)
        state = result.get(timeout=TIMEOUT)
    assert output(state, "a") == 30
    assert state.action_states["a"].attempts == 1


def test_a_service_that_starts_later_gets_what_waits(rabbit: Site) -> None:
    """A process of a service holds the request that it carries out and no other: it held ten, and all others waited for
    it while the next process had nothing to do.
    """
    gate = uuid.uuid4().hex
    remote = [action(name, "test.remote", inputs={"value": 3, "gate": gate}) for name in "abc"]
    with running_service(rabbit):
        result = execute_plan.delay(plan(*remote))
        rabbit.wait_started(gate)
        with running_service(rabbit):
            first, second = rabbit.wait_started(gate, 2)
            rabbit.open_gate(gate, 3)
            assert result.get(timeout=TIMEOUT).status == "completed"
    assert first != second


def test_a_killed_worker_is_recovered_from(rabbit: Site) -> None:
    """kill -9 of the worker in the middle of an action: another starts the action again, and the plan completes."""
    gate = uuid.uuid4().hex
    result = execute_plan.delay(plan(action("a", "test.gate", inputs={"name": gate}), action("b", "test.echo", "a")))
    rabbit.wait_started(gate)
    rabbit.workers[-1].kill()
    rabbit.start_worker()
    rabbit.open_gate(gate, 3)
    assert result.get(timeout=TIMEOUT).status == "completed"
    assert rabbit.runs(result.id)["b"] == 1


def test_the_doctor_asks_on_a_connection_of_its_own(rabbit: Site) -> None:
    """One that this process has kept may be dead since the broker was restarted, which is no finding, and no error."""
    with rabbit.app.connection_or_acquire() as kept:
        assert kept.default_channel.is_open
        kept.connection.sock.shutdown(socket.SHUT_RDWR)
    findings = {finding.check: finding.level for finding in check_setup(rabbit.app)}
    assert (findings["workers"], findings.get("broker")) == ("ok", None)

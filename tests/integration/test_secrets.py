"""Secrets go to the actions that need them, and nowhere else where people look.

The promise: "inputs, outputs and errors stay out of logs, Flower's args, metrics and events by default". The text
of an error is shown, since an error without it is of no use; what is secret is taken out of it.
"""

from __future__ import annotations

import gc
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import chain, chord, group

from tests.integration.apps import secret_app
from tests.integration.outcomes import TIMEOUT
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import (
    BackendNotSupportedError,
    ErrorDetail,
    FailedAnswer,
    Failure,
    PlanExecutionError,
    StateManager,
    Success,
    execute_plan,
    publish_answer,
)
from workflow_state.store.results import ActionResults

QUICK = {"max_attempts": 2, "min_timeout_in_ms": 20, "max_timeout_in_ms": 40}


@pytest.fixture(scope="module")
def worker_that_tells(database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An app with careless actions; its worker says all that it can: log level DEBUG, events on."""
    found = Site(secret_app.make_app(), secret_app.__name__, database(), tmp_path_factory.mktemp("secrets"))
    try:
        found.start_worker("--loglevel", "DEBUG", "-E")
        yield found
    finally:
        # A result that is collected later would connect once more, to unsubscribe.
        gc.collect()
        found.close()


@pytest.fixture
def secret_site(worker_that_tells: Site) -> Iterator[Site]:
    """Its app is the current one."""
    with worker_that_tells.current():
        yield worker_that_tells


class Secrets:
    """A different text for each place, so that a leak says where it comes from."""

    def __init__(self) -> None:
        self.given: dict[str, str] = {}

    def __getattr__(self, place: str) -> str:
        # What is in the middle looks different in JSON, in a URL and in Python's repr.
        return self.given.setdefault(place, f"{uuid.uuid4().hex}/\"' {uuid.uuid4().hex}")

    def found_in(self, text: str) -> dict[str, str]:
        """Which of them are in a text, whole or in part, each with what stands around it."""
        found = {place: max(text.find(secret[:16]), text.find(secret[-16:])) for place, secret in self.given.items()}
        return {place: text[max(0, at - 200) : at + 80] for place, at in found.items() if at >= 0}


@contextmanager
def events_of(site: Site) -> Iterator[list[dict[str, Any]]]:
    """Everything that a monitor such as Flower gets to see while the body runs."""
    seen: list[dict[str, Any]] = []
    with site.app.connection_for_read() as connection:
        receiver = site.app.events.Receiver(connection, handlers={"*": seen.append})
        thread = threading.Thread(target=receiver.capture, kwargs={"wakeup": False})
        thread.start()
        try:
            # Subscribed is who gets the workers' answer.
            wait_until(lambda: site.app.control.heartbeat() or seen, TIMEOUT, "the first event")
            yield seen
        finally:
            receiver.should_stop = True
            thread.join()


def ended(events: list[dict[str, Any]], task_id: str) -> bool:
    """Whether a task's end is among the events."""
    return any(e.get("uuid") == task_id and e["type"] in ("task-succeeded", "task-failed") for e in events)


def careless(secrets: Secrets) -> dict[str, Any]:
    """A plan with secrets everywhere, whose actions treat them badly; its last action fails."""
    account = {"user": "ada", "password": secrets.password}
    return plan(
        action(
            "login",
            "secret.login",
            inputs={"account": account, "api_key": secrets.api_key, "note": secrets.note},
            retry=QUICK,
        ),
        action("use", "secret.echo", "login", inputs={"token": "${login.output.token}", "plain": secrets.plain}),
        action(
            "guarded",
            "secret.echo",
            "login",
            condition={"if": "${login.output.token} == 'x' or ${login.output.length} > 1000", "else": "fail"},
            error_handling={"continue_on_failure": True},
        ),
        action(
            "parse",
            "secret.parse",
            "login",
            inputs={"note": "${login.output.text}"},
            retry={"max_attempts": 1},
            error_handling={"continue_on_failure": True},
        ),
        action(
            "break",
            "secret.break",
            "use",
            "guarded",
            "parse",
            inputs={"password": secrets.broken, "note": "${use.output.plain}"},
            retry={"max_attempts": 1},
        ),
        id="careless",
        description=secrets.description,
        expected_outcome={
            "validations": [
                {"name": "t", "reference": "${login.output.token}", "operator": "equals", "value": secrets.wanted}
            ]
        },
    )


def test_nothing_secret_is_logged_or_sent_as_event(secret_site: Site) -> None:
    """Inputs, outputs and a plan are in no line of a worker's log at level DEBUG and in no event, though actions
    log them, raise them and return them, fail and are tried again; what the errors say else is there.
    """
    secrets = Secrets()
    with events_of(secret_site) as events:
        result = execute_plan.delay(careless(secrets))
        with pytest.raises(PlanExecutionError) as failed:
            result.get(timeout=TIMEOUT)
        wait_until(lambda: ended(events, result.id), TIMEOUT, "its last event")
    log = secret_site.workers[0].output
    state = StateManager().get_full_state(result.id)
    shown = {"log": log, "events": repr(events), "error": f"{failed.value!r} {failed.value.failed_actions}"}
    shown["errors"] = repr([(a.error, [t.error for t in a.trace]) for a in state.action_states.values()])
    assert {name: found for name, text in shown.items() if (found := secrets.found_in(text))} == {}
    output = state.action_states["login"].result
    assert isinstance(output, Success)
    assert output.output["token"] == f"{secrets.api_key}:{secrets.note}"
    retried = next(event["exception"] for event in events if event["type"] == "task-retried")
    assert "login refused for ada at /login?p=[redacted]&k=[redacted]" in retried
    failures = [event["exception"] for event in events if event["type"] == "task-failed"]
    assert any("no account: '[redacted]'" in failure for failure in failures)
    assert "logging in" in log
    assert "TaskPool: Apply" in log


def test_nothing_secret_of_a_remote_action_is_shown(secret_site: Site) -> None:
    """What a validator in the worker or the service says of a secret input is without it, in state and log; and a
    validator that raises what it should not fails the action, like any error of the user's own.
    """
    secrets, manager = Secrets(), StateManager()
    inputs = {name: "${given.output." + name + "}" for name in ("named", "odd", "told", "by_hand")}
    given = {"named": f"value {secrets.named}", "odd": f"type {secrets.odd}", "told": secrets.told}
    given["by_hand"] = secrets.by_hand
    asked = [
        action(name, "secret.remote", "given", inputs={"password": text}, retry={"max_attempts": 1})
        for name, text in inputs.items()
    ]
    for one in asked:
        one["error_handling"] = {"continue_on_failure": True}
    wanted = manager.initialize_state(plan(action("given", "secret.echo", inputs=given), *asked))

    def waits(name: str) -> bool:
        return manager._store.records(wanted.id, [name])[name].phase == "remote"

    wait_until(lambda: waits("told") and waits("by_hand"), TIMEOUT, "the service has been asked")
    error = ErrorDetail(category="auth_expired", message=f"not {secrets.told}", retryable=False)
    publish_answer(secret_site.app, FailedAnswer(execution_id=wanted.id, action_id="told", error=error))
    error = ErrorDetail(category="auth_expired", message=f"not {secrets.by_hand}", retryable=False)
    manager.record_action_result(wanted.id, "by_hand", Failure(error=error))
    state = manager.wait(wanted.id, TIMEOUT)
    errors = {name: found.error for name, found in state.action_states.items() if found.error}
    assert {name: error.category.value for name, error in errors.items()} == {
        "named": "validation_failed",
        "odd": "action_failed",
        "told": "auth_expired",
        "by_hand": "auth_expired",
    }
    assert "not [redacted]" in errors["told"].message
    assert secrets.found_in(repr(errors) + secret_site.workers[0].output) == {}


def test_the_context_of_an_error_keeps_what_is_not_secret(secret_site: Site) -> None:
    """Of an error's context the values under secret names are gone, whatever their spelling; the rest stays."""
    secrets = Secrets()
    state = StateManager().get_full_state(_end(execute_plan.delay(careless(secrets))))
    first = state.action_states["login"].trace[0].error
    assert first is not None
    assert "'count': 3" in str(first.context)
    assert "'apiKey': '[redacted]'" in str(first.context)
    assert secrets.found_in(str(first)) == {}
    guarded = state.action_states["guarded"].error
    assert guarded is not None
    assert guarded.message == "condition not met: a condition on login.output.token, whose values are secret"


def test_nothing_secret_around_a_plan(secret_site: Site) -> None:
    """A plan that waits behind other tasks is in none of their log lines, and the final state is not among the
    arguments that a monitor shows of what follows it: link, chain, group and chord.
    """
    secrets = Secrets()
    good = plan(action("a", "secret.echo", inputs={"text": secrets.text, "token": secrets.token}))
    after = secret_app.after
    with events_of(secret_site) as events:
        sent = [
            chain(secret_app.before.si(), execute_plan.si(good), after.s()).apply_async(),
            chain(secret_app.before.si(), execute_plan.si(good), group(after.s(), after.s())).apply_async(),
            chain(execute_plan.si(good), chord([after.s(), after.s()], after.s())).apply_async(),
            chord([execute_plan.s(good), execute_plan.s(good)], after.s()).apply_async(),
            execute_plan.apply_async((good,), link=[after.s(), chain(after.s(), after.s())]),
            execute_plan.apply_async(kwargs={"plan": good}),
            secret_site.app.send_task("workflow_state.execute_plan", (good,)),
        ]
        for result in sent:
            result.get(timeout=TIMEOUT)
        wait_until(lambda: len(_received(events, "secret.after")) >= 10, TIMEOUT, "all that follows has begun")
    assert secrets.found_in(secret_site.workers[0].output) == {}
    assert secrets.found_in(repr(events)) == {}
    assert "(<final state>, ...)" in _received(events, "secret.after")


def test_inspect_shows_no_plan(secret_site: Site) -> None:
    """What a worker holds for later, and answers when it is asked for, is shown by name and without arguments."""
    secrets = Secrets()
    later = plan(action("a", inputs={"x": secrets.x}), name="Later")
    task_id = execute_plan.apply_async((later,), countdown=3600).id
    inspect = secret_site.app.control.inspect(timeout=2)

    def scheduled() -> Any:
        return [entry["request"] for entries in (inspect.scheduled() or {}).values() for entry in entries]

    (request,) = wait_until(scheduled, TIMEOUT, "the plan waits in the worker")
    assert (request["id"], request["name"], request["args"]) == (task_id, "Later", "(<plan 'Later'>,)")
    assert secrets.found_in(repr(inspect.query_task(task_id))) == {}


def test_a_message_by_hand(secret_site: Site) -> None:
    """A message of ``execute_plan`` that another program wrote, with the least headers, shows no input either."""
    secrets = Secrets()
    good = plan(action("a", "secret.echo", inputs={"x": secrets.x, "token": secrets.token}))
    task_id = uuid.uuid4().hex
    with events_of(secret_site) as events:
        with secret_site.app.producer_or_acquire() as producer:
            producer.publish(
                [[good], {}, {}],
                routing_key=secret_site.queue,
                headers={"lang": "js", "task": "workflow_state.execute_plan", "id": task_id},
            )
        wait_until(lambda: ended(events, task_id), TIMEOUT)
    assert _received(events, "workflow_state.execute_plan")[-1] == "(<plan>,)"
    log = secret_site.workers[0].output
    assert "TaskPool: Apply" in log
    assert f"[{task_id}] received" in log
    assert secrets.found_in(log + repr(events)) == {}


def test_a_plan_refused_in_the_worker_shows_no_input(secret_site: Site) -> None:
    """What is wrong with a plan is told without the values of its inputs."""
    secrets = Secrets()
    bad = {"actions": [{"id": "a", "action_definition_id": "x", "inputs": [secrets.listed]}, secrets.stray * 0]}
    bad["actions"][1] = {"id": "b", "action_definition_id": "x", "inputs": {"x": float("nan")}, "inputz": secrets.typo}
    with events_of(secret_site) as events:
        sent = secret_site.app.send_task("workflow_state.execute_plan", (bad,))
        assert "should be an object; found a list" in str(sent.get(timeout=TIMEOUT, propagate=False))
        wait_until(lambda: ended(events, sent.id), TIMEOUT)
    assert secrets.found_in(repr(events) + secret_site.workers[0].output) == {}


def test_a_message_for_an_unknown_task_is_not_written_out(secret_site: Site) -> None:
    """Celery writes the body of a message that it cannot handle to the log; not where a plan may be in it."""
    secrets = Secrets()
    good = plan(action("a", inputs={"x": secrets.x}))
    unknown = secret_site.app.signature("secret.unknown", immutable=True)
    chain(unknown, execute_plan.si(good)).apply_async()
    worker = secret_site.workers[0]
    wait_until(lambda: "Received unregistered task of type" in worker.output, TIMEOUT)
    wait_until(lambda: "'secret.unknown'" in worker.output, TIMEOUT)
    assert secrets.found_in(worker.output) == {}


def test_a_password_in_a_backend_url_is_not_shown() -> None:
    """The refusal of a backend names it without its password."""
    app = secret_app.make_app()
    app.conf.update(result_backend="rpc://user:s3cr3t@host//", result_compression=None)
    with pytest.raises(BackendNotSupportedError, match=r"rpc://\*\*\*@host") as refused:
        ActionResults(app)
    assert "s3cr3t" not in str(refused.value)


def _received(events: list[dict[str, Any]], task: str) -> list[str]:
    """The arguments that were shown of all messages of a task."""
    return [event["args"] for event in events if event["type"] == "task-received" and event["name"] == task]


def _end(result: Any) -> str:
    with pytest.raises(PlanExecutionError):
        result.get(timeout=TIMEOUT)
    return str(result.id)

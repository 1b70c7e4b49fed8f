"""Bad input is refused where it is given, with everything that is wrong, before anything is sent."""

from __future__ import annotations

import gc
import math
import os
import re
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.integration.actions import prepare
from tests.integration.apps.own_app import make_app
from tests.support import wait_until
from tests.workers import ROOT, Site, action, plan
from workflow_state import (
    ActionFailedError,
    BackendNotSupportedError,
    ConfigurationError,
    ErrorCategory,
    PlanExecutionError,
    PlanValidationError,
    StateManager,
    action_task_id,
    execute_plan,
)
from workflow_state.embedded import EmbeddedServer
from workflow_state.settings import Settings

TIMEOUT = 20


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


#: name → (plan, code, location, part of the message)
BAD_PLANS: dict[str, tuple[Any, str, str, str]] = {
    "no JSON": ("{actions: nothing}", "invalid_json", "", "The plan is not JSON"),
    "broken bytes": (b"\xff\xfe{}", "invalid_json", "", "The plan is not JSON"),
    "a number in JSON": ("7", "not_an_object", "", "found int"),
    "a list": ([action("a")], "not_an_object", "", "found list"),
    "nothing": (None, "not_an_object", "", "found NoneType"),
    "an object of Python": (object(), "not_an_object", "", "found object"),
    "no actions field": ({}, "no_actions", "actions", "at least one action"),
    "0 actions": (plan(), "no_actions", "actions", "at least one action"),
    "actions of a wrong type": ({"actions": "all"}, "wrong_type", "actions", "found 'all'"),
    "no definition": (
        {"actions": [{"id": "a"}]},
        "missing_field",
        "actions[0].actionDefinitionId",
        "required",
    ),
    "inputs of a wrong type": (
        plan(action("a", inputs=[1])),
        "wrong_type",
        "actions[0].inputs",
        "should be an object; found a list",
    ),
    "an unknown field": (
        plan(action("a", dependancies=[])),
        "unknown_field",
        "actions[0].dependancies",
        "did you mean 'dependencies'?",
    ),
    "an unknown operator": (
        plan(
            action("a"),
            expected_outcome={"validations": [{"name": "x", "reference": "${a.output}", "operator": "like"}]},
        ),
        "invalid_value",
        "expected_outcome.validations[0].operator",
        "found 'like'",
    ),
    "a cycle": (
        plan(action("a", "test.echo", "c"), action("b", "test.echo", "a"), action("c", "test.echo", "b")),
        "cycle",
        "actions[0].dependencies",
        "a → c → b → a",
    ),
    "an action that waits for itself": (
        plan(action("a", "test.echo", "a")),
        "cycle",
        "actions[0].dependencies",
        "a → a",
    ),
    "an id twice": (plan(action("a"), action("b"), action("a")), "duplicate_id", "actions[2].id", "actions[0]"),
    "an unknown dependency": (
        plan(action("fetch"), action("b", "test.echo", "fetsh")),
        "unknown_dependency",
        "actions[1].dependencies[0]",
        "did you mean 'fetch'?",
    ),
    "a reference to no ancestor": (
        plan(action("a"), action("b", inputs={"deep": [{"x": "see ${a.output.n}"}]})),
        "reference_not_ancestor",
        "actions[1].inputs.deep[0].x",
        "add 'a' to the dependencies of 'b'",
    ),
    "a reference to itself": (
        plan(action("a", inputs={"x": "${a.output}"})),
        "reference_not_ancestor",
        "actions[0].inputs.x",
        "reads itself",
    ),
    "a reference to nobody": (
        plan(action("a", inputs={"x": "${b.output}"})),
        "reference_unknown_action",
        "actions[0].inputs.x",
        "which is not in the plan",
    ),
    "a broken reference": (
        plan(action("a", inputs={"x": "${a.outptu"})),
        "reference_syntax",
        "actions[0].inputs.x",
        "position 2",
    ),
    "a broken condition": (
        plan(action("a"), action("b", "test.echo", "a", condition={"if": "${a.output} =="})),
        "condition_syntax",
        "actions[1].condition.if",
        "Not a condition",
    ),
    "a condition that reads no ancestor": (
        plan(action("a"), action("b", condition={"if": "${a.output} == 1"})),
        "reference_not_ancestor",
        "actions[1].condition.if",
        "add 'a' to the dependencies of 'b'",
    ),
    "an alternative that is nobody": (
        plan(action("a", error_handling={"alternative_action_id": "b"})),
        "unknown_alternative",
        "actions[0].error_handling.alternative_action_id",
        "not in the plan",
    ),
    "a broken pattern": (
        plan(
            action("a"),
            expected_outcome={
                "validations": [{"name": "x", "reference": "${a.output}", "operator": "matches", "value": "(("}]
            },
        ),
        "invalid_pattern",
        "expected_outcome.validations[0].value",
        "regular expression",
    ),
    "inputs too deep": (
        plan(action("a", inputs={"x": _nested(100)})),
        "too_deep",
        "",
        "nests deeper than 64",
    ),
    **{
        f"the id {odd!r}": (plan(action(odd)), "invalid_id", "actions[0].id", "characters that an id cannot have")
        for odd in ("", "a b", "a/b", "-a", "a|b", "a{b}", "a\n", "ä", "${a}")
    },
    "an id of the grammar": (plan(action("a.output")), "invalid_id", "actions[0].id", "'output'"),
    "a number that is not JSON": (
        '{"actions": [{"id": "a", "actionDefinitionId": "test.value", "inputs": {"value": NaN}}]}',
        "invalid_value",
        "actions[0].inputs.value",
        "finite number",
    ),
    "infinity in a dict": (
        plan(action("a", inputs={"x": [1, float("inf")]})),
        "invalid_value",
        "actions[0].inputs.x[1]",
        "finite number",
    ),
    "half a character": (
        plan(action("a", inputs={"x": "\ud800"})),
        "invalid_value",
        "actions[0].inputs.x",
        "surrogate",
    ),
    "a fallback that no result can hold": (
        plan(action("a", error_handling={"fallback_value": [{"__type__": "x", "__value__": 1}]})),
        "invalid_value",
        "actions[0].error_handling.fallback_value",
        "__type__",
    ),
}


@pytest.mark.parametrize("name", BAD_PLANS)
def test_a_bad_plan_is_refused_in_the_caller(fresh: Site, name: str) -> None:
    """``delay``, ``apply_async``, ``s`` and ``si`` raise ``PlanValidationError`` with a stable code, the place
    and a message that says what was found; not one key is written, not one message sent.
    """
    bad, code, location, message = BAD_PLANS[name]
    for send in (
        execute_plan.delay,
        execute_plan.s,
        execute_plan.si,
        lambda p: execute_plan.apply_async((p,), countdown=60),
        lambda p: execute_plan.apply_async(kwargs={"plan": p}),
    ):
        with pytest.raises(PlanValidationError) as refused:
            send(bad)
        found = [(problem.code, problem.location) for problem in refused.value.errors]
        assert (code, location) in found
        assert message in str(refused.value)
    assert fresh.all_keys() == set()


def test_all_problems_at_once(fresh: Site) -> None:
    """One error has every problem of the plan, in a stable order; its text spells them out."""
    bad = plan(
        action("a", "test.echo", "nobody", inputs={"x": "${b.output}"}),
        action("b", "test.echo", "c"),
        action("c", "test.echo", "b"),
        action("a", inputs={"x": "${what"}),
    )
    with pytest.raises(PlanValidationError) as refused:
        execute_plan.delay(bad)
    assert [problem.code for problem in refused.value.errors] == [
        "duplicate_id",
        "unknown_dependency",
        "cycle",
        "reference_syntax",
    ]
    assert str(refused.value).startswith(f"The plan has {len(refused.value.errors)} problems:\n  - ")
    assert fresh.all_keys() == set()


def test_problems_of_form_all_at_once() -> None:
    """Wrong types at several places are all told in one error, each with its location."""
    with pytest.raises(PlanValidationError) as refused:
        execute_plan.delay({"actions": [{"id": 1}, {"id": "b", "timeout": -1, "priority": 99}], "nmae": "x"})
    assert {problem.location for problem in refused.value.errors} >= {
        "actions[0].id",
        "actions[0].actionDefinitionId",
        "actions[1].timeout",
        "actions[1].priority",
        "nmae",
    }


@pytest.mark.parametrize("odd", ["../x}{", "a b", "x" * 201, "a|b", "{x}", "a\nb", "*"])
def test_a_hostile_task_id_is_refused(fresh: Site, odd: str) -> None:
    """A ``task_id=`` that could reach another execution's keys is refused in the caller."""
    with pytest.raises(PlanValidationError, match="cannot be an execution id"):
        execute_plan.apply_async((plan(action("a")),), task_id=odd)
    assert fresh.all_keys() == set()


def test_a_hostile_task_id_is_refused_by_the_worker(own: Site) -> None:
    """Sent by hand, past our check in the caller, it is refused by the worker, and no key bears its name."""
    odd = f"../{uuid.uuid4()}}}{{"
    sent = own.app.send_task("workflow_state.execute_plan", (plan(action("a")),), task_id=odd)
    with pytest.raises(PlanValidationError, match="cannot be an execution id"):
        sent.get(timeout=TIMEOUT)
    assert [key for key in own.all_keys() if odd in key] == [f"celery-task-meta-{odd}"]


def test_a_bad_plan_sent_by_hand_is_refused_by_the_worker(own: Site) -> None:
    """A message that did not come through ``execute_plan`` is validated in the worker: ``FAILURE``."""
    sent = own.app.send_task("workflow_state.execute_plan", ({"actions": []},))
    with pytest.raises(PlanValidationError, match="at least one action"):
        sent.get(timeout=TIMEOUT)
    assert own.fields(sent.id) == {}


def test_an_unknown_action_definition(site: Site) -> None:
    """An action that no module of the worker registers fails there, at once, with what is registered."""
    result = execute_plan.delay(plan(action("a", "test.ecco"), action("b", "test.echo", "a")))
    with pytest.raises(PlanExecutionError, match=r"No action is registered as 'test\.ecco'"):
        result.get(timeout=TIMEOUT)
    failed = StateManager().get_full_state(result.id).action_states["a"]
    assert failed.attempts == 1
    assert failed.error is not None
    assert failed.error.category == ErrorCategory.UNKNOWN_ACTION
    assert "did you mean 'test.echo'?" in failed.error.message
    assert "test.add" in failed.error.message
    with pytest.raises(ActionFailedError, match="registered: test"):
        site.app.AsyncResult(action_task_id(result.id, "a")).get(timeout=1)


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def client(broker: str, backend: str | None = None, **settings: Any) -> Iterator[Celery]:
    """An app of its own as the current one, on these servers, or this one."""
    app = make_app()
    app.conf.update(broker_url=broker, result_backend=backend or broker, **settings)
    app.set_current()
    yield app
    # A result unsubscribes when it is collected, and would wait for a server that is gone by then.
    gc.collect()
    app.close()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("away", ["broker and backend", "broker", "backend"])
def test_a_server_that_is_down_is_an_error_within_seconds(fresh: Site, away: str) -> None:
    """``execute_plan.delay`` with the broker, the backend or both down raises kombu's ``OperationalError``
    within 10 s: no hang, and no "application must be restarted".
    """
    down = f"redis://127.0.0.1:{closed_port()}/0"
    with client(down if "broker" in away else fresh.url, down if "backend" in away else fresh.url):
        began = time.monotonic()
        with pytest.raises(OperationalError, match="onnect"):
            execute_plan.delay(plan(action("a")))
        assert time.monotonic() - began < 10
        assert fresh.all_keys() == set()


IMPATIENT = {"retry_policy": {"max_retries": 0}}
SENT = r"execution '([0-9a-f-]{36})' may have been sent: sent again with this task_id"
STORED = r"execution '([0-9a-f-]{36})' is stored, and a worker starts it"


def refused_by_broker(send: Callable[[], object], text: str) -> str:
    """The id in the error of a broker that is away, whose text has this form."""
    with pytest.raises(OperationalError, match=text) as error:
        send()
    found = re.search(text, str(error.value))
    assert found is not None
    return found[1]


@pytest.mark.timeout(60)
def test_the_error_of_a_broker_that_is_away_names_the_execution(fresh: Site) -> None:
    """The caller can ask later whether the plan was sent: the error of ``delay`` has the id that it would have had.
    Of an execution that was stored first the error says so.
    """
    with client(f"redis://127.0.0.1:{closed_port()}/0", fresh.url):
        refused_by_broker(lambda: execute_plan.delay(plan(action("a"))), SENT)
        stored = refused_by_broker(lambda: StateManager().initialize_state(plan(action("a"))), STORED)
        assert StateManager().get_full_state(stored).status == "running"
    with fresh.current():
        StateManager().cancel_execution(stored)


def test_a_compression_that_is_not_there_is_named(fresh: Site) -> None:
    """The message says which setting it is, or which option, and what there is; nothing is stored or sent."""
    bad = plan(action("a"))
    with client(fresh.url, fresh.url, task_compression="nonsense"):
        for send in (execute_plan.delay, lambda given: StateManager().initialize_state(given)):
            with pytest.raises(ConfigurationError, match=r"setting task_compression is 'nonsense'.*gzip"):
                send(bad)
    with client(fresh.url, fresh.url, result_compression="nonsense"):
        for use in (lambda: execute_plan.delay(bad), StateManager):
            with pytest.raises(BackendNotSupportedError, match="nonsense' configured in result_compression"):
                use()
    with client(fresh.url, fresh.url), pytest.raises(ConfigurationError, match="option compression is 'odd'"):
        execute_plan.apply_async((bad,), compression="odd")
    assert fresh.all_keys() == set()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("start", [True, False])
def test_the_error_of_a_server_that_is_away_names_the_execution(start: bool) -> None:
    """Nobody can tell whether it was stored, but with the id the call can be repeated, and the state asked for."""
    away = client(f"redis://127.0.0.1:{closed_port()}/0", result_backend_transport_options=IMPATIENT)
    with away, pytest.raises(RedisConnectionError, match=r"execution '[0-9a-f-]{36}' may be stored"):
        StateManager().initialize_state(plan(action("a")), start=start)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("options", [{"retry": False}, {"retry_policy": {"max_retries": 0}}, {}])
def test_a_server_that_says_nothing_is_asked_once(options: dict[str, Any]) -> None:
    """It was waited for as long as ``redis_socket_timeout`` says: once, however often one that is away is tried."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        with client(url, redis_socket_timeout=0.2):
            with pytest.raises(OperationalError, match="cannot be reached"):
                execute_plan.apply_async((plan(action("a")),), **options)
            silent.setblocking(False)
            silent.accept()[0].close()
            with pytest.raises(BlockingIOError):
                silent.accept()


@pytest.mark.timeout(60)
def test_without_retries_a_server_that_is_away_is_tried_once() -> None:
    """``retry=False``, as an option of the call, holds for the server that keeps results, too."""
    patient = {"max_retries": 1000, "interval_start": 1, "interval_step": 0, "interval_max": 1}
    away = client(f"redis://127.0.0.1:{closed_port()}/0", task_publish_retry_policy=patient)
    with away, pytest.raises(OperationalError, match="cannot be reached"):
        execute_plan.apply_async((plan(action("a")),), retry=False)


@pytest.mark.timeout(60)
def test_sending_waits_out_a_failover(tmp_path: Path) -> None:
    """A server that is away when a plan is sent is tried as often as ``task_publish_retry_policy`` says."""
    patient = {
        "max_retries": 100, "interval_start": 0.1, "interval_step": 0.1, "interval_max": 0.2, "retry_errors": None,
    }  # fmt: skip
    with (
        EmbeddedServer(data_dir=tmp_path) as server,
        client(server.url, task_publish_retry_policy=patient) as app,
    ):
        server.kill()
        back = threading.Timer(1, server.start)
        back.start()
        execute_plan.delay(plan(action("a")))
        back.join()
        assert app.backend.client.llen("shop") == 1


@pytest.mark.timeout(60)
# Celery's consumer of results drops a connection when it makes a new one, and does not close it: Python 3.12 and later
# collect its socket before what would.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_server_that_restarted_is_no_error(tmp_path: Path) -> None:
    """A client whose connections were all cut by a restart sends its next plan without an error."""
    with EmbeddedServer(data_dir=tmp_path) as server, client(server.url) as app:
        execute_plan.delay(plan(action("a")))
        server.restart()
        execute_plan.delay(plan(action("a")))
        assert app.backend.client.llen("shop") == 2


@pytest.mark.parametrize(
    ("backend", "named"),
    [("rpc://", "rpc://"), ("file:///tmp", "file://"), ("cache+memory://", "cache+memory"), ("", "none")],
)
def test_a_worker_refuses_another_backend(fresh: Site, backend: str, named: str) -> None:
    """A worker with a result backend that is not Redis-compatible does not start: it ends with a non-zero
    exit code and says which backend it found and which it needs.
    """
    command = [sys.executable, "-m", "celery", "-A", "tests.integration.apps.odd_backend_app", "worker"]
    done = subprocess.run(
        [*command, "--concurrency", "1"],
        cwd=ROOT,
        env={**os.environ, "REDIS_URL": fresh.url, "ODD_BACKEND": backend, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode != 0, output
    assert "BackendNotSupportedError" in output
    assert "the engine needs Redis or Valkey" in output
    assert named in output


@pytest.mark.parametrize("backend", ["rpc://", "file:///tmp", "cache+memory://", None])
def test_the_state_manager_refuses_another_backend(backend: str | None) -> None:
    """``StateManager(app)`` says at once that it cannot read that backend."""
    app = Celery("odd", broker="memory://", backend=backend, set_as_current=False)
    with pytest.raises(BackendNotSupportedError, match="needs Redis or Valkey"):
        StateManager(app)


def test_a_pickled_backend_is_refused(fresh: Site) -> None:
    """Results are JSON only: a backend that pickles is refused, by the state manager and the engine."""
    fresh.app.conf.result_serializer = "pickle"
    with pytest.raises(BackendNotSupportedError, match="result_serializer = 'pickle'"):
        StateManager(fresh.app)


@pytest.mark.parametrize("url", ["localhost:6379", "redis://localhost:6379/0/x"])
def test_an_address_of_results_that_is_none_is_named(url: str) -> None:
    """Who sends a plan is told which address it is; it was "No module named 'localhost'" alone."""
    with client("memory://", url):
        for send in (execute_plan.delay, lambda given: StateManager().initialize_state(given)):
            with pytest.raises(BackendNotSupportedError, match=f"backend '{url}', which cannot be set up: .*correct"):
                send(plan(action("a")))


def test_a_serializer_that_is_not_there_is_named(fresh: Site) -> None:
    """Who sends a plan is told which setting it is; it was a KeyError of the name."""
    with client(fresh.url, fresh.url, result_serializer="nonsense"):
        for send in (execute_plan.delay, lambda given: StateManager().initialize_state(given)):
            with pytest.raises(BackendNotSupportedError, match=r"cannot be set up: KeyError: 'nonsense'.*setting"):
                send(plan(action("a")))
    assert fresh.all_keys() == set()


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("[::1]:65535", True),
        ("0.0.0.0:0", True),
        ("localhost:9464", True),
        *((f"a:{n}", False) for n in (65536, 99999)),
    ],
)
def test_an_address_whose_port_there_cannot_be_is_refused(address: str, good: bool) -> None:
    """A worker with it does not start: it ran on without metrics, after an error in its log."""
    app = make_app()
    app.conf.update(workflow_state={"metrics_address": address})
    with nullcontext() if good else pytest.raises(ValueError, match="metrics_address"):
        assert Settings.of(app).metrics_address == address


def test_unknown_settings_are_refused(database: Callable[[], str]) -> None:
    """A setting of ours that is misspelt is an error, not silently the default."""
    app = make_app()
    app.conf.update(result_backend=database(), workflow_state={"leese": 3})
    with pytest.raises(ValueError, match="leese"):
        StateManager(app)


#: Every setting in seconds, at more than a server, a file's time or a thread's wait can count.
TOO_LONG = [
    {name: sys.maxsize}
    for name in ("lease", "sweep_interval", "keep_completed", "keep_failed", "keep_untouched", "long_delay")
]


@pytest.mark.parametrize(
    "value", [{"lease": 0.0001}, {"lease": math.inf}, {"keep_completed": math.inf}, *TOO_LONG, {"remote_timeout": 1e10}]
)
def test_settings_that_no_time_can_be_told_by_are_refused(database: Callable[[], str], value: dict[str, float]) -> None:
    """A lease that is over at once, and what never comes, are errors at the start: later they would hold work up.

    With ``keep_completed`` of ``sys.maxsize`` the end of no execution could be carried out.
    """
    app = make_app()
    app.conf.update(result_backend=database(), workflow_state=value)
    with pytest.raises(ValueError, match=next(iter(value))):
        StateManager(app)


def test_a_plan_in_a_chain_is_refused_before_the_chain_starts(fresh: Site) -> None:
    """A bad plan inside a canvas is refused when the signature is made, not after half of the work is done."""
    with pytest.raises(PlanValidationError):
        chain(prepare.s(), execute_plan.si(plan())).apply_async()
    assert fresh.all_keys() == set()


def test_messages_for_unknown_executions_do_no_harm(own: Site) -> None:
    """Messages of the engine's tasks that name unknown executions or actions are dropped, and leave nothing."""
    nobody = str(uuid.uuid4())
    before = own.all_keys()
    for name, arguments in {
        "execute_action": (nobody, "a"),
        "advance": (nobody,),
        "finish": (nobody,),
    }.items():
        own.app.send_task(f"workflow_state.{name}", arguments, ignore_result=True)
    known = execute_plan.delay(plan(action("a")))
    known.get(timeout=TIMEOUT)
    own.app.send_task("workflow_state.execute_action", (known.id, "nobody"), ignore_result=True)
    own.app.send_task("workflow_state.advance", (known.id, 7, 3), ignore_result=True)
    execute_plan.delay(plan(action("a"))).get(timeout=TIMEOUT)
    wait_until(lambda: own.redis.llen(own.queue) == 0 and own.redis.hlen("unacked") == 0, TIMEOUT)
    assert not [key for key in own.all_keys() - before if nobody in key]

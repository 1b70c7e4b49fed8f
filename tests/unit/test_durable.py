"""The durable settings say something to Celery and kombu: a misspelt setting would be ignored in silence."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from celery import Celery
from celery.app.defaults import DEFAULTS
from kombu.transport.redis import Channel, Transport
from kombu.utils.functional import retry_over_time

from workflow_state import durable
from workflow_state.embedded import EmbeddedServer

#: Read by Celery's Redis backend and documented, but missing from the table of its defaults.
UNLISTED = {"redis_backend_health_check_interval"}
#: Read by kombu's Redis transport itself, when it registers with a worker's event loop.
READ_BY_TRANSPORT = {"unacked_restore_interval", "health_check_interval"}


def names() -> list[str]:
    """Every setting of the module."""
    imported = {"annotations", "os"}
    return [name for name in vars(durable) if not name.startswith("_") and name not in imported]


def test_an_address_that_is_set_to_nothing_is_not_set() -> None:
    """`REDIS_URL=` in an .env file means the default, as it does for the commands, not an app without a server."""
    code = "from workflow_state import durable; print(durable.broker_url, durable.result_backend)"
    env = {**os.environ, "REDIS_URL": ""}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["redis://localhost:6379/0"] * 2


@pytest.mark.redis
def test_the_address_may_be_a_unix_socket() -> None:
    """Broker and results are reached over it, as over TCP: a setting of TCP's made every call a `TypeError`."""
    code = (
        "from workflow_state.app import app\n"
        "app.connection_for_write().ensure_connection(max_retries=1)\n"
        "print(app.conf.redis_socket_keepalive, app.backend.client.ping())"
    )
    with EmbeddedServer(appendonly=False, settings={"unixsocket": "socket"}) as server:
        for url, keepalive in ((f"redis+socket://{server.data_dir}/socket", "False"), (server.url, "True")):
            env = {**os.environ, "REDIS_URL": url}
            done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
            assert done.stdout.split()[:2] == [keepalive, "True"], done.stderr


def test_the_ready_made_app_is_that_of_every_thread() -> None:
    """`execute_plan.delay` in a thread of a process that has imported the app, as in a web server, sends with it."""
    code = """if True:
        from threading import Thread
        from workflow_state import StateManager, execute_plan
        from workflow_state.app import app
        found = []
        thread = Thread(target=lambda: found.extend([execute_plan.app, StateManager()._engine.app]))
        thread.start()
        thread.join()
        print([one is app for one in found])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[True, True]\n"


@pytest.fixture
def app() -> Celery:
    """An app on the durable settings; nothing connects."""
    made = Celery("durable", set_as_current=False)
    made.config_from_object("workflow_state.durable")
    return made


@pytest.mark.parametrize("name", names())
def test_every_setting_is_known_to_celery(name: str) -> None:
    """Each name is a setting of Celery's."""
    assert name in DEFAULTS or name in UNLISTED


@pytest.mark.parametrize("name", durable.broker_transport_options)
def test_every_transport_option_is_known_to_kombu(name: str) -> None:
    """Each transport option is read by kombu's Redis transport."""
    assert name in Channel.from_transport_options or name in READ_BY_TRANSPORT


@pytest.mark.parametrize("name", durable.task_publish_retry_policy)
def test_the_publish_policy_is_one_of_kombu(name: str) -> None:
    """Each part of the policy is an argument of kombu's retries."""
    assert name in retry_over_time.__code__.co_varnames


def test_celery_takes_them_over(app: Celery) -> None:
    """The app's configuration has the values, so nothing is shadowed by a default."""
    assert {name: app.conf[name] for name in names()} == {name: getattr(durable, name) for name in names()}


def test_the_backend_gets_its_connection_settings(app: Celery) -> None:
    """Timeouts, keep-alive and health checks arrive at the client of the result backend."""
    wanted = {"socket_timeout": 30.0, "socket_connect_timeout": 5.0, "socket_keepalive": True}
    found: dict[str, Any] = app.backend.connparams
    assert {**wanted, "health_check_interval": 25}.items() <= found.items()
    assert app.backend.always_retry is True
    assert app.backend.expires == 7 * 24 * 3600


def test_the_broker_gets_its_connection_settings(app: Celery) -> None:
    """The transport options arrive at the connection that workers consume from."""
    with app.connection_for_read() as connection:
        assert connection.transport_options == durable.broker_transport_options
        assert connection.get_transport_cls() is Transport


def test_no_setting_is_one_of_those_that_lose_work() -> None:
    """Deduplication acknowledges a redelivered task whose follow-up was lost: it must stay off."""
    assert "worker_deduplicate_successful_tasks" not in names()
    assert not DEFAULTS["worker_deduplicate_successful_tasks"]

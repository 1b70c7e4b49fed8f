"""Connections that die in silence, as behind a firewall that forgets them: nothing is refused, no answer comes."""

from __future__ import annotations

import select
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

import pytest

from tests.integration.apps import own_app
from workflow_state.embedded import EmbeddedServer
from workflow_state.runtime.engine import engine_of

LEASE = 12.0

pytestmark = pytest.mark.redis


class Relay:
    """A port that leads to a server's; connections through it can fall silent, new ones are as good as before."""

    def __init__(self, port: int) -> None:
        self.target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._silent = threading.Event()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def url(self) -> str:
        """Of the server, through the relay."""
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def fall_silent(self) -> None:
        """From now on nothing goes through the connections that there are, and they stay open."""
        self._silent.set()
        self._silent = threading.Event()

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._silent.set()
        # Wakes who accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in (*self._open, self._listener):
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                ends = self._listener.accept()[0], socket.create_connection(("127.0.0.1", self.target))
                self._open += ends
                self._threads.append(threading.Thread(target=_relay, args=(*ends, self._silent)))
                self._threads[-1].start()


def _relay(one: socket.socket, other: socket.socket, silent: threading.Event) -> None:
    """Hand on what comes, until one end is closed or silence falls."""
    while not silent.is_set():
        for end in select.select([one, other], [], [], 0.05)[0]:
            data = end.recv(65_536)
            if not data:
                one.shutdown(socket.SHUT_RDWR)
                other.shutdown(socket.SHUT_RDWR)
                return
            (other if end is one else one).sendall(data)


@pytest.fixture
def relay() -> Iterator[Relay]:
    """To a server of the test's own."""
    with EmbeddedServer(appendonly=False) as server, Relay(server.port) as found:
        yield found


def test_a_lease_outlives_a_connection_that_falls_silent(relay: Relay) -> None:
    """A heartbeat does not wait for an answer as long as the lease lasts, whatever ``redis_socket_timeout`` is: the
    action would run again beside itself, and count as lost.
    """
    app, direct = own_app.make_app(), own_app.make_app()
    app.conf.update(result_backend=relay.url, redis_socket_timeout=3 * LEASE, workflow_state={"lease": LEASE})
    direct.conf.update(result_backend=f"redis://127.0.0.1:{relay.target}/0")
    store, keeper, execution_id = engine_of(direct).store, engine_of(app).leases, str(uuid.uuid4())
    head = store.create(execution_id, "{}", "{}", {}, None)
    store.advance(execution_id, 0, 1, 1, [], "", "opener", 60_000)
    token = store.begin(execution_id, "a", 1, "worker", int(LEASE * 1000), ()).token
    with keeper.hold(execution_id, head.created, ("a", token)):
        keeper.beat()
        relay.fall_silent()
        began = time.monotonic()
        keeper.beat()
        assert time.monotonic() - began < LEASE / 2
    record = store.records(execution_id, ["a"])["a"]
    assert record.lease > store.now() + 1000 * LEASE / 2
    direct.backend.client.close()

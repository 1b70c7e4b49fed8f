"""Heartbeats: one thread per worker process renews the leases of the actions that it runs.

An action that runs for hours keeps its lease as long as its process lives; when the process dies, so
do the heartbeats, and the lease ends by itself.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from workflow_state.store.redis import Store
from workflow_state.telemetry import get_logger

# Of the module: the lock of an instance may have been held when its process was forked.
_STARTING = threading.Lock()


#: Execution id, when the execution was created, action id.
_Lease = tuple[str, str, str]


class LeaseKeeper:
    """Renews leases every third of their length. ``lease_ms``: milliseconds."""

    def __init__(self, store: Store, lease_ms: int) -> None:
        self._store = store
        self._lease_ms = lease_ms
        self._held: dict[_Lease, int] = {}
        self._lock = threading.Lock()
        self._pid = 0
        self._log = get_logger()

    @contextmanager
    def hold(
        self, execution_id: str, created: str, *leases: tuple[str, int]
    ) -> Iterator[Callable[[Iterable[str]], None]]:
        """Keep leases, given as (action id, token), alive while the body runs.

        ``created``: of the execution that they are of; its id may be used again meanwhile.

        What it gives lets some of them go earlier: those of actions that have ended.
        """
        if self._pid != os.getpid():
            with _STARTING:
                if self._pid != os.getpid():
                    self._start_thread()
        tokens = dict(leases)

        def let_go(action_ids: Iterable[str]) -> None:
            with self._lock:
                for name in action_ids:
                    if self._held.get((execution_id, created, name)) == tokens.get(name):
                        self._held.pop((execution_id, created, name), None)

        with self._lock:
            self._held.update({(execution_id, created, name): token for name, token in leases})
        try:
            yield let_go
        finally:
            let_go(tokens)

    def beat(self) -> None:
        """Renew every held lease now."""
        with self._lock:
            held = dict(self._held)
        by_execution: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
        for (execution_id, created, action_id), token in held.items():
            by_execution[execution_id, created].append((action_id, token))
        for (execution_id, created), leases in by_execution.items():
            for action_id in self._store.renew(execution_id, leases, self._lease_ms, created):
                # An action that ends meanwhile has no lease any more, which is as it should be.
                if (execution_id, created, action_id) in self._held:
                    self._log.warning("lease lost", execution_id=execution_id, action_id=action_id)

    def _start_thread(self) -> None:
        # After a fork the child has no thread and may have inherited a lock that is held.
        self._lock = threading.Lock()
        self._held = {}
        self._pid = os.getpid()
        threading.Thread(target=self._run, name="workflow-state-leases", daemon=True).start()

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._lease_ms / 3000):
            try:
                self.beat()
            except Exception as error:  # noqa: BLE001 - this thread must not end: every lease would
                # The next beat tries again; a lease outlives two that failed.
                self._log.warning("leases not renewed", error=repr(error))

"""A process that was forked waits for results on a connection of its own.

Celery closes the inherited one in nobody but its workers, and keeps it open elsewhere: both processes would then read
what the server says to either, so that each gets parts of answers, or hears of a result too late.
"""

from __future__ import annotations

import os
from typing import Any, Final
from weakref import WeakSet

from celery.backends.redis import RedisBackend

_backends: Final[WeakSet[Any]] = WeakSet()


def apart_after_forks(backend: Any) -> None:
    """From now on a forked process shares no connection of this result backend; for other than Redis nothing is done.

    What the parent waits for is the parent's; the child subscribes to what it waits for itself.
    """
    if isinstance(backend, RedisBackend):
        _backends.add(backend)


def _let_go() -> None:
    for backend in list(_backends):
        backend.result_consumer.on_after_fork()
        # Else it would take what the parent subscribed to for its own.
        backend.result_consumer.subscribed_to.clear()


os.register_at_fork(after_in_child=_let_go)

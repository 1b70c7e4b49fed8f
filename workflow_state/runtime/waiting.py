"""Waiting for a result over outages: Celery waits for a message that says it, and this may be lost.

It is lost with a connection that broke while more than one thread waited, or is dead without anybody being told.
And while the server is away Celery keeps to no time limit. So it waits for a moment only, and begins anew.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from celery.backends.redis import RedisBackend
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import AsyncResult
from redis.exceptions import RedisError, ResponseError

from workflow_state.store.forks import apart_after_forks
from workflow_state.store.outages import is_outage
from workflow_state.telemetry import get_logger

#: Seconds until it is read whether the result is there, though nobody said so.
LOOK = 5.0
#: Seconds between two tries to reach a server that is away.
PAUSE = 0.5
#: Celery takes 0 for no limit.
SHORTEST = 0.001


def await_result(result: AsyncResult, get: Callable[[float], Any], timeout: float | None) -> Any:
    """What ``get`` gives.

    Args:
        result: the one that is waited for.
        get: waits for so many seconds, after a look whether it is there.
        timeout: seconds; None waits for ever. It is kept while the server is away, but for the time that Celery
            tries to get back a connection which it loses (20 s), or an answer may take (``redis_socket_timeout``).

    Raises:
        celery.exceptions.TimeoutError: it was not there in time.
    """
    apart_after_forks(result.backend)
    until = math.inf if timeout is None else time.monotonic() + timeout
    before: Exception | None = None
    while True:
        last = time.monotonic() >= until
        if not result.on_ready.ready:
            _await_server(result.backend, until)
        try:
            return get(SHORTEST if last else min(LOOK, max(SHORTEST, until - time.monotonic())))
        except (CeleryTimeoutError, RuntimeError, ResponseError) as error:
            if result.on_ready.ready:
                return get(LOOK)
            over = isinstance(error, CeleryTimeoutError)
            # Celery's waiting in greenlets never recovers from a connection that it could not get back.
            if (over and last) or error is before or not (over or is_outage(error.__cause__) or is_outage(error)):
                raise
            before = error


def _await_server(backend: Any, until: float) -> None:
    """Return when the server of the results answers.

    Raises:
        celery.exceptions.TimeoutError: it does not in time.
    """
    if not isinstance(backend, RedisBackend):
        return
    said = False
    while True:
        try:
            backend.client.ping()
        except RedisError as error:
            if not is_outage(error):
                raise
            if time.monotonic() + PAUSE >= until:
                raise CeleryTimeoutError(f"The operation timed out: the server is away: {error}") from error
            if not said:
                get_logger().warning("server away, waited for", error=str(error))
                said = True
            time.sleep(PAUSE)
        else:
            return

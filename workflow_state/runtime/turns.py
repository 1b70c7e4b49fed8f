"""For how long one call sends: what it was called from waits meanwhile, a worker's slot or its main loop."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

#: Seconds that one call may send for: others may add to it faster than one sends.
TURN: Final = 2.0

_until: ContextVar[float] = ContextVar("workflow_state_send_until", default=math.inf)


@contextmanager
def sending_until(until: float) -> Iterator[None]:
    """Have nothing sent in this block after a moment of the monotonic clock: it is for who has less than a turn."""
    token = _until.set(until)
    try:
        yield
    finally:
        _until.reset(token)


def sending_ends() -> float:
    """When who sends now has to stop, by the monotonic clock: after a turn, or sooner in :func:`sending_until`."""
    return min(time.monotonic() + TURN, _until.get())


def in_sweeper() -> bool:
    """Whether a sweeper sends, in a block of :func:`sending_until`: it comes back by itself."""
    return _until.get() < math.inf

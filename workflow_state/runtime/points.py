"""Named points of the engine, between one durable step and the next: where a crash must do no harm.

Tests put a handler here that kills its own process at a point; nothing else does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Point = Literal[
    "accepted",  # the execution is stored, nothing of it has started
    "level opened",  # the cursor has moved, nothing of the level is published
    "decided",  # (dataflow) skips are on record, what runs is not published
    "level half published",  # some of its messages are out
    "level published",  # all are out, which is not noted yet
    "before user code",  # the lease is taken
    "requested",  # a remote service is asked, which is not on record yet
    "after user code",  # the result is not recorded yet
    "batch half done",  # some results of a batch are recorded, others of it have not begun to run
    "recorded",  # an action has ended, what follows from it has not started
    "ended",  # the final status is set, the finishing message is not sent
    "ending",  # the finishing task has claimed the end, the result is not stored
    "closing",  # its result is stored, its records have no TTL yet
    "events sent",  # listeners have been sent events, which is not on record yet
    "sweeping",  # deadlines are claimed, nothing is sent
]

handler: Callable[[Point], None] | None = None


def reached(point: Point) -> None:
    """Say that a point was reached; nobody listens outside tests."""
    if handler is not None:
        handler(point)

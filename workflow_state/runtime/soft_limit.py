"""The soft time limit is for user code, but may hit the engine's own: a step of it, or a wait for the server.

Celery raises it once for a message. What it interrupts of the engine is safe to repeat, and is done again; the
hard limit still ends what hangs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from celery.exceptions import SoftTimeLimitExceeded

T = TypeVar("T")


def through_limit(step: Callable[[], T]) -> T:
    """Do a step of the engine, once more where the soft time limit interrupts it."""
    try:
        return step()
    except SoftTimeLimitExceeded:
        return step()

"""Large things are built without looking for garbage meanwhile."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def uncollected(build: Callable[P, T]) -> Callable[P, T]:
    """A function that builds something large and no cycles: Python's collector waits until it is done.

    It would go over all that is built so far again and again and find nothing; for plans of 10,000 actions that
    takes more time than the building itself. Whoever paused it lets it go on, whatever others are at by then, so
    that it is never away for longer than one call; and where a program runs without it, that stays so.
    """

    @wraps(build)
    def paused(*args: P.args, **kwargs: P.kwargs) -> T:
        if not gc.isenabled():
            return build(*args, **kwargs)
        gc.disable()
        try:
            return build(*args, **kwargs)
        finally:
            gc.enable()

    return paused

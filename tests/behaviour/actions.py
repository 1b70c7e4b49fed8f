"""The actions of the behaviour tests, besides those of ``tests.integration.actions``."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Any

from celery import shared_task
from pydantic import BaseModel, PositiveInt

from tests.integration.actions import EFFECTS, KEPT, effects
from tests.support import wait_until
from workflow_state import ActionContext, ActionError, action

#: Nobody sets it: waiting for it is how these actions take their time.
NEVER = threading.Event()


@action("behave.plain")
def plain(name: str, times: PositiveInt = 1) -> str:
    """A plain function that knows nothing of where it runs."""
    return f"Hello {name}{'!' * times}"


@action("behave.async")
async def later(name: str) -> str:
    """A plain async function."""
    await asyncio.sleep(0)
    return f"Hello {name}, later"


class Order(BaseModel):
    """What a shop wants to know."""

    item: str
    pieces: PositiveInt


class Receipt(BaseModel):
    """What a shop gives back."""

    item: str
    cents: int


@action("behave.sell")
def sell(order: Order, price: int) -> Receipt:
    """Models in and out."""
    return Receipt(item=order.item, cents=order.pieces * price)


@action("behave.broken_promise")
def broken_promise(cents: Any) -> Receipt:
    """Gives back whatever it got as cents, whatever its annotation says."""
    return {"item": "hat", "cents": cents}  # type: ignore[return-value]


@shared_task(name="behave.charge")
def charge(amount: int, currency: str = "EUR") -> dict[str, Any]:
    """A Celery task that was there before anyone thought of plans."""
    return {"amount": amount, "currency": currency}


@shared_task(bind=True, name="behave.bound")
def bound(self: Any, amount: int) -> str:
    """A bound Celery task."""
    return f"{self.name} of {amount}"


action("behave.charge")(charge)
action("behave.bound")(bound)


@action("behave.sleep")
def sleep(seconds: float) -> str:
    """Takes its time."""
    NEVER.wait(seconds)
    return "slept"


@action("behave.async_sleep")
async def async_sleep(seconds: float) -> str:
    """Takes its time, asynchronously."""
    await asyncio.sleep(seconds)
    return "slept"


@action("behave.slow_at_first")
def slow_at_first(ctx: ActionContext) -> int:
    """Overruns in its first attempt only."""
    NEVER.wait(30 if ctx.attempt == 1 else 0)
    return ctx.attempt


@action("behave.deaf_at_first")
def deaf_at_first(ctx: ActionContext) -> int:
    """Never returns in its first attempt, and swallows what is to end it."""
    while ctx.attempt == 1:
        with suppress(BaseException):
            NEVER.wait(30)
    return ctx.attempt


@action("behave.limited")
def limited(ctx: ActionContext, seconds: float) -> int:
    """Is told to come back later, once."""
    if ctx.attempt == 1:
        raise ActionError("slow down", category="rate_limit_burst", retry_after=seconds)
    return ctx.attempt


@action("behave.raise")
def raise_it(kind: str) -> None:
    """Raises an exception of Python's own."""
    raise {
        "timeout": TimeoutError("no answer"),
        "refused": ConnectionRefusedError("nobody there"),
        "value": ValueError("not so"),
    }[kind]


@action("behave.large")
def large(size: int) -> str:
    """A result of some size."""
    return "x" * size


@action("behave.log")
def log(ctx: ActionContext, words: str) -> None:
    """Says something in the worker's log."""
    ctx.logger.warning(words)


@action("behave.meet")
def meet(ctx: ActionContext, size: int, seconds: float = 0, message: str = "") -> str:
    """When so many actions of its execution have begun, takes its time; then fails, if it has a message."""
    key = f"{EFFECTS}:met:{ctx.execution_id}"
    effects().incr(key)
    effects().expire(key, KEPT)
    wait_until(lambda: int(effects().get(key)) >= size, 20)
    NEVER.wait(seconds)
    if message:
        raise ActionError(message, retryable=False)
    return "met"

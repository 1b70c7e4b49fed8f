"""The test actions, and the Celery tasks that stand before and after a plan.

Every action counts its runs in Redis, under its execution and action, so that a test can say how often user
code really ran, whatever the records say. An action that must be caught in the middle announces itself in
Redis and waits there for its gate, so no test has to guess how long something takes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import redis
from celery import shared_task
from pydantic import BaseModel, PositiveInt

from tests.support import work_for
from workflow_state import ActionContext, ActionError, StateManager, action, execute_plan

EFFECTS = "test-effects"
"""Before every key of this module; all of them expire."""

KEPT = 900
"""Seconds that an effect is kept."""

GATE_TIMEOUT = 60
"""Seconds an action waits for its gate, so that a broken test leaves no process that waits for ever."""


@cache
def _client(pid: int) -> redis.Redis:
    """One client per process: a connection must not be shared over a fork."""
    return redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True, socket_timeout=GATE_TIMEOUT + 5)


def effects() -> redis.Redis:
    """Where the side effects go: the broker's own database."""
    return _client(os.getpid())


def _ran(ctx: ActionContext) -> None:
    key = f"{EFFECTS}:runs:{ctx.execution_id}"
    effects().hincrby(key, ctx.action_id, 1)
    effects().expire(key, KEPT)


def _note(name: str, value: str | int) -> None:
    key = f"{EFFECTS}:{name}"
    effects().rpush(key, value)
    effects().expire(key, KEPT)


def _wait_at(gate: str) -> bool:
    """Whether the gate was opened in time."""
    return effects().blpop([f"{EFFECTS}:gate:{gate}"], timeout=GATE_TIMEOUT) is not None


@action("test.echo")
def echo(ctx: ActionContext, **values: Any) -> dict[str, Any]:
    """Its inputs, as it got them."""
    _ran(ctx)
    return values


@action("test.value")
def value(ctx: ActionContext, value: Any = None) -> Any:
    """One value, as it is."""
    _ran(ctx)
    return value


@action("test.add")
def add(ctx: ActionContext, a: int, b: int = 0) -> int:
    """Two numbers, validated."""
    _ran(ctx)
    return a + b


@action("test.level")
def level(ctx: ActionContext, before: list[int]) -> int:
    """One more than the greatest of what it reads; 0 for nothing."""
    _ran(ctx)
    return max(before, default=-1) + 1


@action("test.async")
async def add_later(ctx: ActionContext, a: int, b: int) -> int:
    """An async function that really gives up control."""
    _ran(ctx)
    return sum(await asyncio.gather(asyncio.to_thread(int, a), asyncio.to_thread(int, b)))


@action("test.gate")
def gate(ctx: ActionContext, name: str, then_fail: str = "") -> str:
    """Announces itself with its process id, then waits for its gate."""
    _ran(ctx)
    _note(f"started:{name}", os.getpid())
    if not _wait_at(name):
        raise ActionError(f"nobody opened gate {name!r}", retryable=False)
    if then_fail:
        raise ActionError(then_fail)
    return name


@action("test.deaf")
def deaf(ctx: ActionContext, name: str) -> str:
    """Waits for its gate and swallows every exception meanwhile, as careless code does."""
    _ran(ctx)
    _note(f"started:{name}", os.getpid())
    while True:
        try:
            _wait_at(name)
        except Exception as error:  # noqa: BLE001 - the carelessness is the point
            _note(f"swallowed:{name}", repr(error))


@action("test.fail")
def fail(
    ctx: ActionContext,
    message: str = "refused",
    category: str = "action_failed",
    retryable: bool = True,
    retry_after: float | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Fails as an action says it."""
    _ran(ctx)
    raise ActionError(
        message,
        category=category,
        code="E42",
        status_code=503,
        retryable=retryable,
        retry_after=retry_after,
        context=details,
        suggestion="ask somebody",
    )


@action("test.flaky")
def flaky(ctx: ActionContext, times: int, value: Any = "done") -> Any:
    """Fails in its first ``times`` attempts; notes the idempotency key of each."""
    _ran(ctx)
    _note(f"keys:{ctx.execution_id}:{ctx.action_id}", ctx.idempotency_key)
    if ctx.attempt <= times:
        raise ConnectionError(f"attempt {ctx.attempt} of {times} that fail")
    return value


class OddError(Exception):
    """Cannot be pickled, copied or shown."""

    def __init__(self, first: str, second: threading.Lock) -> None:
        super().__init__()
        self.first, self.second = first, second

    def __reduce__(self) -> str:
        raise TypeError("cannot be pickled")

    def __str__(self) -> str:
        raise RuntimeError("cannot be shown")

    __repr__ = __str__


class PanicError(BaseException):
    """No ``Exception``, as what an extension in Rust raises when it panics."""


@action("test.odd_error")
def odd_error(ctx: ActionContext, kind: str) -> None:
    """Raises what no engine expects."""
    _ran(ctx)
    match kind:
        case "unpicklable":
            raise OddError("x", threading.Lock())
        case "group":
            raise ExceptionGroup("several", [ValueError("one"), OSError("two")])
        case "exit":
            raise SystemExit(3)
        case "panic":
            raise PanicError("an extension gave up")
        case "interrupt":
            raise KeyboardInterrupt
        case "cancelled":
            raise asyncio.CancelledError
        case "recursion":
            _deeper()
        case "surrogate":
            raise ValueError("half a pair: \ud800")
        case "huge":
            raise ValueError("x" * 1_000_000)


def _deeper() -> None:
    _deeper()


@action("test.odd_output")
def odd_output(ctx: ActionContext, kind: str) -> Any:
    """Returns what JSON cannot hold."""
    _ran(ctx)
    loop: list[Any] = []
    loop.append(loop)
    return {
        "object": object(),
        "function": odd_output,
        "loop": loop,
        "surrogate": "half a pair: \ud800",
        "bytes": b"\xff\xfe",
        "deep": _nested(300),
        "codec": [{"__type__": "datetime", "__value__": "2024-01-01"}],
    }[kind]


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


class Person(BaseModel):
    """What ``test.person`` takes and gives."""

    name: str
    age: PositiveInt
    born: date | None = None


@action("test.person")
def person(ctx: ActionContext, person: Person) -> Person:
    """A pydantic model in and out."""
    _ran(ctx)
    return person


@action("test.rich_output")
def rich_output(ctx: ActionContext) -> dict[str, Any]:
    """Types that pydantic turns into JSON."""
    _ran(ctx)
    return {"at": datetime(2024, 2, 29, 12, 0), "price": Decimal("9.90"), "tags": {"one"}, "pair": (1, 2)}  # noqa: DTZ001


@action("test.wrong_output")
def wrong_output(ctx: ActionContext) -> int:
    """Breaks the promise of its annotation."""
    _ran(ctx)
    return "not a number"  # type: ignore[return-value]


@action("test.context")
def context(ctx: ActionContext) -> dict[str, Any]:
    """What an action can know of itself."""
    _ran(ctx)
    return {
        "execution_id": ctx.execution_id,
        "plan_id": ctx.plan_id,
        "action_id": ctx.action_id,
        "attempt": ctx.attempt,
        "idempotency_key": ctx.idempotency_key,
        "cancelled": ctx.is_cancelled(),
    }


@action("test.fatal")
def fatal(ctx: ActionContext, times: int = 1_000) -> int:
    """Takes its worker process down in its first ``times`` attempts, as a segfault would."""
    _ran(ctx)
    if ctx.attempt <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return ctx.attempt


@action("test.remote", remote=True)
def elsewhere(value: int, fail: str = "", gate: str = "") -> int:
    """Carried out by ``tests.integration.remote_service``; here it only says what goes in and comes out."""
    raise AssertionError("a remote action ran in a worker")


@action("test.unserved", remote=True)
def unserved(value: Any) -> int:
    """No service carries it out: tests answer themselves."""
    raise AssertionError("a remote action ran in a worker")


@action("test.patient")
def patient(ctx: ActionContext) -> str:
    """Works until it sees that its execution was cancelled."""
    _ran(ctx)
    _note(f"started:{ctx.execution_id}", ctx.action_id)
    deadline = time.monotonic() + GATE_TIMEOUT
    while not ctx.is_cancelled() and time.monotonic() < deadline:
        work_for(0.01)
    return "saw it" if ctx.is_cancelled() else "timed out"


@action("test.fails_unless")
def fails_unless(ctx: ActionContext, key: str) -> str:
    """Fails for good until somebody has set the key."""
    _ran(ctx)
    if not effects().exists(f"{EFFECTS}:{key}"):
        raise ActionError("not yet", retryable=False)
    return key


@action("test.progress")
def reports(ctx: ActionContext, name: str) -> str:
    """Says how far it has come, then waits at its gate."""
    ctx.progress(0.25, "a quarter")
    ctx.progress(2.0, "beyond the end")
    _note(f"started:{name}", os.getpid())
    return "opened" if _wait_at(name) else "timed out"


@shared_task(name="test.prepare")
def prepare(value: Any = "prepared") -> Any:
    """Stands before a plan."""
    return value


@shared_task(name="test.make_plan")
def make_plan(width: int) -> dict[str, Any]:
    """A task that produces the plan that runs next."""
    wide = [{"id": f"a{n}", "action_definition_id": "test.add", "inputs": {"a": n, "b": 1}} for n in range(width)]
    total = {
        "id": "last",
        "action_definition_id": "test.echo",
        "inputs": {f"a{n}": f"${{a{n}.output}}" for n in range(width)},
        "dependencies": [f"a{n}" for n in range(width)],
    }
    return {"actions": [*wide, total]}


@shared_task(name="test.make_bad_plan")
def make_bad_plan(width: int) -> dict[str, Any]:
    """A task that produces a plan that is not valid."""
    return {"actions": [{"id": "a", "action_definition_id": "test.echo", "dependencies": ["nobody"]}]}


@shared_task(name="test.start_plan")
def start_plan(plan: dict[str, Any]) -> str:
    """A task that starts a plan and does not wait for it; gives the execution id."""
    return str(execute_plan.delay(plan).id)


@shared_task(bind=True, name="test.become")
def become(self: Any, plan: dict[str, Any]) -> None:
    """A task that replaces itself by a plan."""
    raise self.replace(execute_plan.s(plan))


@shared_task(name="test.notify")
def notify(state: dict[str, Any]) -> dict[str, Any]:
    """Stands after a plan: what it was given, and how the execution stood at that moment."""
    seen = StateManager().get_full_state(state["id"])
    return {"given": state, "seen": seen.to_json_dict()}


@shared_task(name="test.collect")
def collect(states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Stands after several plans."""
    return states


@shared_task(name="test.ran")
def ran(*args: Any, name: str) -> None:
    """Leaves a note that it ran; ``name`` is the test's own."""
    _note(f"ran:{name}", len(args))


@shared_task(name="test.on_error")
def on_error(request: Any, exc: BaseException, traceback: str, name: str) -> None:
    """An errback as Celery documents it; leaves a note of the error that it was given."""
    _note(f"errors:{name}", f"{type(exc).__name__}: {exc}")

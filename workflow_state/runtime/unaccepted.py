"""Plans that were sent and not accepted yet: what was sent is kept, and sent again when its message is lost.

With Redis as broker a message on its way to a worker that is killed, or whose connection breaks, is gone; what a
worker had taken comes back after the visibility timeout. Until a worker has stored the execution, there is nothing
else that knows of it. A copy too many does no harm: an execution is accepted once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from celery import Celery, Task
from celery.backends.redis import RedisBackend
from celery.canvas import Signature
from celery.result import denied_join_result
from celery.states import READY_STATES
from celery.utils.time import maybe_iso8601, maybe_make_aware
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError
from kombu.utils.functional import retry_over_time
from kombu.utils.json import dumps, loads
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from workflow_state.runtime.engine import Engine, engine_of
from workflow_state.store import sent
from workflow_state.store.outages import is_outage
from workflow_state.store.results import backend_of

#: Looks after which a message is sent again although its queue is not empty, where it may just be waiting.
PATIENT: Final = 3
#: Options of a call that are about sending it now, or say when its time comes.
_OF_THE_CALL: Final = frozenset(
    {"producer", "connection", "publisher", "retry", "retry_policy", "add_to_parent", "countdown", "eta"}
)
#: What a policy for publishing says of pauses; it may also name errors, which are kombu's.
_PAUSES: Final = {"max_retries", "interval_start", "interval_step", "interval_max"}
# Untyped in kombu; dates and signatures among the options are no plain JSON.
_read: Callable[[str], Any] = loads
_write: Callable[[Any], str] = dumps
#: Arguments, arguments by name and options of ``apply_async``.
Call = tuple[Any, Any, Mapping[str, Any]]


@contextmanager
def kept(app: Celery, call: Call, *, insist: bool) -> Iterator[None]:
    """Keep a call of ``execute_plan`` while it is sent, and from then on; not one that could not be sent.

    Tells soon when the server is away: Celery subscribes to a result before it sends, and would try for 20 s. Tries
    as often as publishing does (``task_publish_retry_policy``, or ``retry`` and ``retry_policy`` of the call): a
    failover takes a moment. One that is there and says nothing is asked once.

    Args:
        app: whose task it is; where its result backend is not on Redis, or it is eager, nothing is kept.
        call: its options have the ``task_id``.
        insist: False for one that follows from work that is done: it is sent all the same in an outage.

    Raises:
        kombu.exceptions.OperationalError: as publishing does when the broker is away; nothing was sent.
        BackendNotSupportedError: the engine cannot use the result backend, or Celery cannot set it up.
    """
    if app.conf.task_always_eager or not isinstance(backend_of(app), RedisBackend):
        yield
        return
    engine, options = engine_of(app), call[2]
    _keep(engine, call, insist)
    try:
        yield
    except Exception:
        # Whoever is told so may send it anew.
        withdraw(engine, options["task_id"])
        raise


def withdraw(engine: Engine, execution_id: str) -> None:
    """Send it no more. In an outage it is kept, and the sweeper sees to it."""
    try:
        sent.forget(engine.store, execution_id, tries=1)
    except Exception as error:
        if not is_outage(error):
            raise
        engine.log.warning("kept although it is not to run", execution_id=execution_id, error=str(error))


def _keep(engine: Engine, call: Call, insist: bool) -> None:
    options = call[2]
    policy = options.get("retry_policy") or engine.app.conf.task_publish_retry_policy
    if not (insist and options.get("retry", engine.app.conf.task_publish_retry)):
        policy = {"max_retries": 0}
    pauses = {name: policy[name] for name in _PAUSES & policy.keys()}
    retry: Callable[..., Any] = retry_over_time
    try:
        retry(_keeping(engine, call), RedisConnectionError, **pauses)
    except (RedisConnectionError, RedisTimeoutError) as error:
        if insist:
            raise OperationalError(f"The result backend cannot be reached, so nothing was sent: {error}") from error
        engine.log.warning("sent without being kept", execution_id=options["task_id"], error=str(error))


def look_after(engine: Engine, execution_id: str) -> None:
    """For the sweeper, of an execution that is not there: send it again if its message must be lost."""
    found = sent.overdue(engine.store, execution_id, engine.settings.lease_ms)
    if found is None:
        return
    text, looks = found
    if engine.app.backend.get_state(execution_id) in READY_STATES:
        # A worker has refused it, or it was revoked, or has expired.
        sent.forget(engine.store, execution_id)
        return
    args, kwargs, options = _read(text)
    task = engine.app.tasks["workflow_state.execute_plan"]
    if looks < PATIENT and not engine.queues.is_empty(Signature(task.name, args, kwargs, options, app=engine.app)):
        return
    engine.observers.tell("swept", "plan_resent", 1)
    engine.log.warning("plan sent again that no worker has accepted", execution_id=execution_id, looks=looks)
    # As it was sent, since it was checked and is kept already; nobody waits here for its result.
    with denied_join_result():
        Task.apply_async(task, args, kwargs, **options)


def _keeping(engine: Engine, call: Call) -> Callable[[], object]:
    """What keeps a call, or only asks whether the server is there where it cannot be kept."""
    args, kwargs, options = call
    now = datetime.now(UTC)
    wait = max(0.0, _seconds_until(engine.app, options, now))
    kept = {name: _named(value) for name, value in options.items() if name not in _OF_THE_CALL and value is not None}
    if isinstance(kept.get("expires"), int | float):
        kept["expires"] = now + timedelta(seconds=kept["expires"])
    try:
        text = _write([args or (), kwargs or {}, kept])
    except TypeError:
        # Such as a link that goes by pickle.
        engine.log.debug("cannot be kept as JSON", execution_id=options["task_id"])
        return lambda: engine.store.results.client.ping()
    wait_ms = int(wait * 1000)
    return lambda: sent.keep(engine.store, options["task_id"], text, wait_ms, engine.settings.lease_ms)


def _seconds_until(app: Celery, options: Mapping[str, Any], now: datetime) -> float:
    """Until the time of a call has come, as its options say."""
    if options.get("countdown") is not None:
        return float(options["countdown"])
    if options.get("eta") is None:
        return 0.0
    eta: datetime = maybe_make_aware(maybe_iso8601(options["eta"]), app.timezone)
    return (eta - now).total_seconds()


def _named(value: Any) -> Any:
    """A queue or an exchange by its name, everything else as it is."""
    return value.name if isinstance(value, Exchange | Queue) else value

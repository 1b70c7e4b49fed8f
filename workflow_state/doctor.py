"""The doctor: whether a set-up keeps what the engine promises, and what to change where it does not.

Facts are gathered from the app, its server and its workers; the rules over them are a pure function.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from celery import Celery
from kombu.connection import Connection
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError, ResponseError

from workflow_state.errors import BackendNotSupportedError
from workflow_state.redaction import hide_password, url_problem
from workflow_state.settings import Settings
from workflow_state.store.keys import Keys
from workflow_state.store.results import ActionResults

Level = Literal["ok", "warn", "fail"]
#: The oldest server whose commands the scripts use.
OLDEST_SERVER = (6, 2)
#: Seconds that a host's clock may differ from the server's before someone should look.
CLOCK_SKEW = 5.0
#: What is said of what the server does not tell.
UNKNOWN = "unknown"
#: A worker that knows this one knows them all.
TASK = "workflow_state.execute_plan"
#: How a worker is started, where nobody says what the app is called.
START = "celery -A your_app worker"
#: A result that expires sooner may be gone before anyone has read it.
SHORT_EXPIRY = 3600
#: What Celery and kombu run into where a setting of the broker is wrong.
SETUP_ERRORS: Final = (ImportError, LookupError, TypeError, ValueError)
#: A write as the engine's are: of a script, with keys of more than one slot, and it takes memory.
_WRITE: Final = "redis.call('SET', KEYS[1], '', 'PX', 1)"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: ``check`` is a stable name, ``hint`` what to change, "" when nothing is."""

    level: Level
    check: str
    found: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a set-up; seconds, and strings as read.

    ``workers``: name → the tasks that it knows. ``problem``, ``broker_problem``: why nothing could be learnt
    from the server of the results, or from the broker. ``refusal``: why the former takes nothing that is written.
    ``unheard``: the queue of the engine's own steps, where no worker that answers listens to it. ``pools``: worker →
    the kind of its pool, as its module is called. ``start``: the command that starts a worker.
    """

    conf: Mapping[str, Any]
    server: Mapping[str, Any] = field(default_factory=dict)
    server_config: Mapping[str, str] = field(default_factory=dict)
    skew: float = 0.0
    workers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sweeper_age: float | None = None
    sweep_interval: float = 2.0
    problem: str = ""
    broker_problem: str = ""
    refusal: str = ""
    unheard: str = ""
    pools: Mapping[str, str] = field(default_factory=dict)
    start: str = START


def check_setup(app: Celery, start: str = START) -> list[Finding]:
    """Look at a live set-up; takes about a second, since workers are asked and may be silent.

    ``start``: the command that starts a worker of the app, for hints.
    """
    return judge(replace(gather(app), start=start))


def gather(app: Celery) -> Facts:
    """The facts of an app's set-up; what cannot be reached is said in ``problem``."""
    conf = {name: app.conf.get(name) for name in _SETTINGS}
    settings = Settings.of(app)
    keys = Keys(settings.prefix)
    try:
        client = ActionResults(app).client
        seconds, micros = client.time()
        skew = abs(time.time() - (seconds + micros / 1e6))
        beat = client.get(keys.sweeper)
        server = _if_allowed(client.info)
        config = _if_allowed(client.config_get, "maxmemory-policy")
        refusal = _refusal(client, keys)
    except (BackendNotSupportedError, RedisError) as error:
        return Facts(conf, problem=str(error))
    heard = _ask_workers(app)
    return Facts(
        conf,
        server,
        {_text(name): _text(value) for name, value in config.items()},
        skew=skew,
        workers=heard.tasks,
        sweeper_age=None if beat is None else seconds + micros / 1e6 - int(beat) / 1000,
        sweep_interval=settings.sweep_interval,
        broker_problem=heard.problem,
        refusal=refusal,
        unheard=heard.unheard,
        pools=heard.pools,
    )


def judge(facts: Facts) -> list[Finding]:
    """What to say of the facts, most basic first."""
    if facts.problem:
        return [
            Finding(
                "fail", "backend", facts.problem, "start the server, or correct result_backend or what its user may do"
            )
        ]
    return [*_judge_server(facts), *_judge_settings(facts), *_judge_workers(facts)]


def _judge_server(facts: Facts) -> list[Finding]:
    info, config = facts.server, facts.server_config
    name = "valkey" if "valkey_version" in info else "redis"
    version = str(info.get(f"{name}_version", ""))
    new_enough = name == "valkey" or tuple(int(part) for part in version.split(".")[:2] if part) >= OLDEST_SERVER
    oldest = ".".join(map(str, OLDEST_SERVER))
    kept = {"1": "on", "0": "off: a restart of the server loses everything since its last snapshot"}
    durable = kept.get(str(info.get("aof_enabled")), UNKNOWN)
    policy = config.get("maxmemory-policy") or str(info.get("maxmemory_policy", UNKNOWN))
    hint = (
        "it has to take what scripts write: give it room, name the master, no cluster, or correct what its user may do"
    )
    return [
        *([Finding("fail", "backend", facts.refusal, hint)] if facts.refusal else []),
        _finding(
            new_enough,
            "fail" if version else "warn",
            "server version",
            f"{name} {version or UNKNOWN}",
            f"use Redis >= {oldest}, or Valkey",
        ),
        _finding(durable == "on", "warn", "append-only file", durable, "set appendonly yes"),
        _finding(
            policy == "noeviction",
            "warn" if policy == UNKNOWN else "fail",
            "memory policy",
            f"maxmemory-policy {policy}",
            "set maxmemory-policy noeviction: any other lets the server drop records of running executions",
        ),
        _finding(
            facts.skew <= CLOCK_SKEW,
            "warn",
            "clock",
            f"this host differs from the server by {facts.skew:.1f} s",
            "synchronize the clocks: countdowns of retries are read by the worker's clock",
        ),
    ]


def _judge_settings(facts: Facts) -> list[Finding]:
    conf = facts.conf
    accepts = {str(kind) for kind in conf["accept_content"] or ()}
    expiry = conf["result_expires"]
    seconds = expiry.total_seconds() if hasattr(expiry, "total_seconds") else expiry
    keeps = not seconds or seconds >= SHORT_EXPIRY
    prefetch = conf["worker_prefetch_multiplier"]
    return [
        _finding(
            accepts <= {"json", "application/json"},
            "fail",
            "content",
            f"accept_content {sorted(accepts)}",
            "accept json alone: other formats may run code when they are read",
        ),
        _finding(
            bool(conf["task_acks_late"]) and bool(conf["task_reject_on_worker_lost"]),
            "warn",
            "acknowledgement",
            f"task_acks_late {conf['task_acks_late']}, task_reject_on_worker_lost {conf['task_reject_on_worker_lost']}",
            "set both True for your own tasks; the engine's have it anyway",
        ),
        _finding(
            prefetch == 1,
            "warn",
            "prefetch",
            f"worker_prefetch_multiplier {prefetch}",
            "set it to 1: a worker that dies holds back what it has fetched",
        ),
        *_judge_unacknowledged(conf),
        _finding(
            keeps,
            "warn",
            "result expiry",
            "kept for ever" if not seconds else f"results and states are kept {seconds:.0f} s after the end",
            f"keep them at least {SHORT_EXPIRY} s (result_expires), or readers come too late",
        ),
        Finding(
            "ok",
            "visibility timeout",
            f"{(conf['broker_transport_options'] or {}).get('visibility_timeout', 3600)} s; running actions are found "
            "by their leases, but a plan that a dying worker had not accepted yet comes back only after it",
        ),
        _finding(
            not conf["worker_deduplicate_successful_tasks"],
            "fail",
            "deduplication",
            f"worker_deduplicate_successful_tasks {conf['worker_deduplicate_successful_tasks']}",
            "leave it off: it drops messages that recovery needs",
        ),
    ]


def _judge_unacknowledged(conf: Mapping[str, Any]) -> list[Finding]:
    """Queues whose messages are gone when a worker has taken them; nothing where there are none."""
    queues = conf["task_queues"] or ()
    rows = queues.items() if isinstance(queues, Mapping) else ((queue.name, queue) for queue in queues)
    found = [name for name, queue in rows if _no_ack(queue)]
    if not found:
        return []
    bounded = conf["worker_disable_prefetch"]
    return [
        _finding(
            bool(bounded),
            "fail",
            "queues without acknowledgement",
            f"{', '.join(found)}: worker_disable_prefetch {bounded}",
            "set worker_disable_prefetch = True: else one worker takes such a queue whole, and all is lost with it",
        )
    ]


def _no_ack(queue: Any) -> bool:
    return bool(queue.get("no_ack") if isinstance(queue, Mapping) else queue.no_ack)


def _judge_workers(facts: Facts) -> list[Finding]:
    names = ", ".join(sorted(facts.workers))
    ignorant = ", ".join(sorted(name for name, tasks in facts.workers.items() if TASK not in tasks))
    age, limit = facts.sweeper_age, max(10.0, 5 * facts.sweep_interval)
    alive = age is not None and age <= limit
    found = "has not been seen" if age is None else f"was last seen {age:.0f} s ago"
    if facts.broker_problem:
        hint = "start the broker, or correct broker_url or broker_transport_options; it has to take what is written"
        return [Finding("fail", "broker", facts.broker_problem, hint)]
    known = _finding(
        not ignorant,
        "warn",
        "tasks",
        f"{ignorant} does not know the engine's tasks" if ignorant else "known by every worker",
        "import workflow_state in its app, or give it queues of its own: a worker throws away messages of tasks "
        "that it does not know",
    )
    heard = _finding(
        not facts.unheard,
        "fail",
        "queue",
        f"no worker listens to {facts.unheard}" if facts.unheard else "a worker listens to that of the engine's steps",
        f"start one of this app, without --queues or with that one too: {facts.start}; no plan begins without it",
    )
    return [
        _finding(
            bool(facts.workers),
            "fail",
            "workers",
            f"{len(facts.workers)} answer: {names}" if facts.workers else "none answers",
            f"start one: {facts.start}",
        ),
        *([known, heard, _judge_pools(facts.pools)] if facts.workers else []),
        _finding(
            alive,
            "fail",
            "sweeper",
            f"the sweeper {found}",
            "a worker that imports workflow_state, of the same prefix, runs it; without it lost work is not found",
        ),
    ]


def _judge_pools(pools: Mapping[str, str]) -> Finding:
    others = {name: kind for name, kind in sorted(pools.items()) if kind != "prefork"}
    return _finding(
        not others,
        "warn",
        "pool",
        ", ".join(f"{name} has {kind}" for name, kind in others.items()) or "prefork, which enforces timeouts",
        "an action that runs longer than its timeout goes on there: take --pool prefork where plans have timeouts",
    )


def _finding(good: bool, otherwise: Level, check: str, found: str, hint: str) -> Finding:
    return Finding("ok", check, found) if good else Finding(otherwise, check, found, hint)


def _if_allowed(ask: Callable[..., Mapping[Any, Any]], *arguments: str) -> Mapping[Any, Any]:
    """What the server says; nothing, where it does not let everybody ask, as hosted ones do not."""
    try:
        return ask(*arguments)
    except ResponseError:
        return {}


def _refusal(client: Any, keys: Keys) -> str:
    """Why the server takes nothing that is written; "" when it does."""
    try:
        client.eval(_WRITE, 2, keys.doctor, keys.deadlines)
    except ResponseError as error:
        return str(error)
    return ""


@dataclass(frozen=True, slots=True)
class _Answers:
    """What workers say, as the fields of :class:`Facts`; ``problem``: why the broker could not be asked."""

    tasks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unheard: str = ""
    pools: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


def _ask_workers(app: Celery) -> _Answers:
    try:
        # One of its own: an older one may be lost without knowing it, and says nothing of the broker.
        with app.connection_for_write() as connection:
            try:
                workers = app.control.inspect(timeout=1.0, connection=connection).registered() or {}
                if not workers:
                    return _Answers()
                unheard = _unheard_queue(app, connection, len(workers))
                return _Answers(workers, unheard, _pools(app, connection, len(workers)))
            except (*connection.connection_errors, *connection.channel_errors) as error:
                # The broker goes away meanwhile, or answers and refuses what is written: it is full, or a replica,
                # or the user may not.
                return _Answers(problem=str(error))
    except OperationalError as error:
        return _Answers(problem=str(error))
    except SETUP_ERRORS as error:
        return _Answers(problem=setup_problem(app, error))


def _unheard_queue(app: Celery, connection: Connection, workers: int) -> str:
    """The queue to which the engine's own steps go, where all workers have answered and none listens to it; else ""."""
    queue = str(app.amqp.router.route({}, TASK)["queue"].name)
    # As many answers as there were before, so that nobody waits for more.
    heard = app.control.inspect(timeout=1.0, connection=connection, limit=workers).active_queues() or {}
    names = {found["name"] for queues in heard.values() for found in queues or ()}
    return "" if queue in names or len(heard) < workers else queue


def _pools(app: Celery, connection: Connection, workers: int) -> Mapping[str, str]:
    """Worker → "prefork", "thread", "solo" and so on."""
    stats = app.control.inspect(timeout=1.0, connection=connection, limit=workers).stats() or {}
    kinds = {name: str(found.get("pool", {}).get("implementation", "")) for name, found in stats.items()}
    return {name: kind.partition(":")[0].rpartition(".")[2] for name, kind in kinds.items() if kind}


def setup_problem(app: Celery, error: Exception) -> str:
    """What one of :data:`SETUP_ERRORS` says of an app's broker."""
    url = str(app.conf.broker_url)
    return f"{hide_password(url)} cannot be set up: {url_problem(url, error)}"


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


_SETTINGS = (
    "accept_content",
    "task_acks_late",
    "task_reject_on_worker_lost",
    "worker_prefetch_multiplier",
    "worker_disable_prefetch",
    "task_queues",
    "worker_deduplicate_successful_tasks",
    "result_expires",
    "broker_transport_options",
)

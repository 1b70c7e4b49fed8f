"""One server with an append-only file, the client's side of an app on it, and what tests ask of both."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import redis
from celery.result import AsyncResult

from tests.chaos.actions import JOURNAL
from tests.chaos.app import make_app
from tests.chaos.fleet import Fleet
from tests.chaos.journal import Journal, recorded
from tests.support import wait_until
from workflow_state import ExecutionState, StateManager, action_task_id
from workflow_state.embedded import EmbeddedServer
from workflow_state.runtime.schedule import level_looks

ENDED = ("completed", "failed", "cancelled")
SERVER = {
    "appendfsync": "everysec",
    # The file is the history that is checked afterwards: it must not be rewritten.
    "auto-aof-rewrite-percentage": "0",
}


class Scene:
    """A context manager: its server and its connections end with it.

    Args:
        directory: for the server's data, the logs and the journal.
        conf: of the app, as ``make_app`` takes it.
        server: one that runs already and belongs to another scene; None starts one.
    """

    def __init__(self, directory: Path, *, server: EmbeddedServer | None = None, **conf: Any) -> None:
        self.directory, self._conf = directory, conf
        directory.mkdir(exist_ok=True)
        self._owns_server = server is None
        self.server = server or EmbeddedServer(data_dir=directory / "server", settings=SERVER)
        self.journal = Journal(directory / "journal")
        self.points = directory / "points"
        self.points.mkdir(exist_ok=True)
        self._sent: list[AsyncResult] = []

    def __enter__(self) -> Self:
        if self._owns_server:
            self.server.start()
        self.app = make_app(self.server.url, **self._conf)
        self.app.loader.import_default_modules()
        self.redis = redis.Redis.from_url(
            self.server.url, decode_responses=True, socket_timeout=2, socket_connect_timeout=1
        )
        self.manager = StateManager(self.app)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sent.clear()
        self.app.close()
        self.app.backend.client.close()
        self.redis.close()
        if self._owns_server:
            self.server.stop()

    def fleet(self, workers: int = 2, concurrency: int = 2) -> Fleet:
        """Workers for this scene; start them with ``with``."""
        arguments = {"url": self.server.url, **self._conf}
        environ = {
            "CHAOS_APP": json.dumps(arguments),
            "CHAOS_POINTS": str(self.points),
            JOURNAL: str(self.journal.path),
        }
        logs = self.directory / f"logs-{uuid.uuid4().hex[:6]}"
        logs.mkdir()
        return Fleet(environ, logs, workers, concurrency)

    def start(self, plan: Mapping[str, Any], execution_id: str | None = None) -> str:
        """Send a plan; its execution id."""
        task = self.app.tasks["workflow_state.execute_plan"]
        result = task.apply_async((dict(plan),), task_id=execution_id or str(uuid.uuid4()))
        # A result that is dropped unsubscribes from the server, which may be away at that moment.
        self._sent.append(result)
        return str(result.id)

    def gate(self) -> Path:
        """A gate for ``chaos.wait``, closed: ``touch`` opens it."""
        return self.directory / f"gate-{uuid.uuid4().hex[:8]}"

    def field(self, execution_id: str, name: str) -> str | None:
        """A field of the execution's hash; None while the server is away."""
        try:
            value: str | None = self.redis.hget(self._key(execution_id, "execution"), name)
        except redis.RedisError:
            return None
        return value

    def closed(self, execution_id: str) -> bool:
        """Whether the execution has ended, its result is stored, and nothing is left to do for it."""
        if self.field(execution_id, "status") not in ENDED or not self.field(execution_id, "closed"):
            return False
        return self.redis.zscore(f"{self.prefix}:deadlines", f"{execution_id}|") is None

    def wait_closed(self, execution_id: str, timeout: float, fleet: Fleet) -> ExecutionState:
        """Wait for the end; the final state. A failure shows where it stands and the workers' last words."""
        try:
            wait_until(lambda: self.closed(execution_id), timeout, f"execution {execution_id} has ended")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.standing(execution_id)}\n{fleet.tails()}") from None
        return self.state(execution_id)

    def wait_started(self, execution_id: str, action_id: str, times: int = 1, timeout: float = 30) -> int:
        """Wait until an action's user code has started so often; the process id of the last start."""
        starts = wait_until(
            lambda: len(found := self.journal.starts(execution_id, action_id)) >= times and found,
            timeout,
            f"start {times} of {action_id}",
        )
        return starts[-1].pid

    def state(self, execution_id: str) -> ExecutionState:
        """As ``StateManager`` reads it."""
        return self.manager.get_full_state(execution_id)

    def result(self, execution_id: str) -> AsyncResult:
        """The result of the execution as any Celery tool sees it."""
        return AsyncResult(execution_id, app=self.app)

    def record(self, execution_id: str, action_id: str) -> dict[str, Any]:
        """An action's record as it is stored; {} while it is pending."""
        found: dict[str, Any] = json.loads(self.redis.hget(self._key(execution_id, "actions"), action_id) or "{}")
        return found

    def looks(self, execution_id: str) -> int:
        """How often it was looked whether messages of the first level are lost."""
        found = self.redis.hget(self._key(execution_id, "looks"), level_looks(0)) or "0 "
        return int(found.partition(" ")[0])

    def stored(self, execution_id: str) -> dict[str, Any]:
        """Everything stored of an execution and its actions, results and deadlines included, to compare."""
        names = [self._key(execution_id, name) for name in ("execution", "actions", "attempts")]
        found = {name: self.redis.hgetall(name) for name in names}
        results = self.app.backend.client.mget(self._result_keys(execution_id).values())
        return found | {"results": results, "deadlines": self.deadlines()}

    def deadlines(self) -> dict[str, float]:
        """All deadlines of this app's prefix."""
        return dict(self.redis.zrange(f"{self.prefix}:deadlines", 0, -1, withscores=True))

    def results_recorded(self, execution_id: str) -> dict[str, list[str]]:
        """Action id → the statuses that were ever written as its result, by the server's append-only file.

        Under the id of the execution itself: those of its own result.
        """
        keys = self._result_keys(execution_id)
        written = recorded(self.server.data_dir, keys.values())
        return {name: written[key] for name, key in keys.items()}

    def check_clean(self, execution_id: str) -> None:
        """Each result was recorded once, nobody was ever told that the execution failed, nothing of it is left."""
        written = self.results_recorded(execution_id)
        # Its result may be stored again, by one who does not know that it was; not with another status.
        found = set(written.pop(execution_id))
        assert found == {"SUCCESS"}, found
        assert {name: statuses for name, statuses in written.items() if len(statuses) != 1} == {}
        assert self.keys_without_ttl(execution_id) == []
        assert [member for member in self.deadlines() if member.startswith(execution_id)] == []

    def keys_without_ttl(self, execution_id: str) -> list[str]:
        """Keys of the execution, its results among them, that would stay for ever."""
        results = set(self._result_keys(execution_id).values())
        keys = [key for key in self.redis.scan_iter(count=1000) if execution_id in key or key in results]
        with self.redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.ttl(key)
            return [key for key, ttl in zip(keys, pipe.execute(), strict=True) if ttl == -1]

    def arm(self, point: str, victim: str, passes: int = 0) -> None:
        """Have the first process that reaches a point die, after it has passed it so often."""
        temporary = self.points / f"arming-{uuid.uuid4().hex}"
        temporary.write_text(json.dumps([point, victim, passes, temporary.name]))
        (self.points / "sprung").unlink(missing_ok=True)
        temporary.rename(self.points / "armed")

    def end_outage(self, victim: str, timeout: float, away: float = 1.0) -> None:
        """Wait until what was armed has taken the ``server`` or its ``memory``; give it back ``away`` seconds later."""
        wait_until(lambda: self.sprung, timeout, "a process reached the armed point")
        back = time.monotonic() + away
        wait_until(lambda: time.monotonic() > back, away + 5)
        if victim == "server":
            self.server.start()
        else:
            self.redis.config_set("maxmemory", 0)

    @property
    def sprung(self) -> bool:
        """Whether what was armed has killed a process."""
        return (self.points / "sprung").exists()

    @property
    def prefix(self) -> str:
        """Of the library's keys."""
        return str(self.app.conf.workflow_state.get("prefix", "workflow-state"))

    def standing(self, execution_id: str) -> str:
        """Where an execution stands, for the message of a failure."""
        try:
            fields = self.redis.hgetall(self._key(execution_id, "execution"))
            fields.pop("caller", None)
            actions = self.redis.hgetall(self._key(execution_id, "actions"))
            open_ = {k: v for k, v in actions.items() if json.loads(v)["status"] == "running"}
            parts = self.redis.smembers(self._key(execution_id, "parts"))
            clock = self.redis.time()[0]
            return f"{fields}\nrunning: {open_}\nparts: {parts}\ndeadlines: {self.deadlines()}\nclock: {clock}"
        except redis.RedisError as error:
            return f"the server does not say: {error!r}"

    def _result_keys(self, execution_id: str) -> dict[str, str]:
        """Action id → the key of its result; under the execution's id that of its own."""
        tasks = {name: action_task_id(execution_id, name) for name in self.state(execution_id).action_states}
        tasks[execution_id] = execution_id
        return {name: self.app.backend.get_key_for_task(task).decode() for name, task in tasks.items()}

    def _key(self, execution_id: str, name: str) -> str:
        return f"{self.prefix}:{{{execution_id}}}:{name}"


def scene_with(**settings: float) -> Any:
    """A fixture: a server and an app of each test's own, with these settings of the library."""

    @pytest.fixture
    def scene(tmp_path: Path) -> Iterator[Scene]:
        with Scene(tmp_path / "scene", workflow_state=settings) as found:
            yield found

    return scene

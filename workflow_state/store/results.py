"""Action results in Celery's result backend, in the backend's own encoding.

Only public parts of the backend are used: its key for a task id, its codec, its exception format. So
``AsyncResult``, Flower and any other Celery tool read what the engine's scripts write.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from celery import Celery, states
from celery.backends.base import decompress_payload
from celery.backends.redis import RedisBackend
from celery.exceptions import TaskRevokedError
from kombu.serialization import dumps
from kombu.utils.functional import retry_over_time
from pydantic import JsonValue

from workflow_state.errors import ActionFailedError, BackendNotSupportedError
from workflow_state.models import ErrorDetail
from workflow_state.redaction import hide_password, url_problem
from workflow_state.store.forks import apart_after_forks
from workflow_state.store.keys import action_task_id, action_task_ids
from workflow_state.store.packing import COMPRESS_FROM
from workflow_state.telemetry import get_logger

#: Shows how a codec writes JSON: order, spaces, numbers and letters.
_SAMPLE: Final[dict[str, object]] = {
    "status": "SUCCESS",
    "a": [1, -0.5, 1e300, None, True, {}],
    "\u00e9\u2028\U0001f600": '"\\/\n\x7f',
    "": [],
}
_ANY_ID: Final = "0"


class ActionResults:
    """Keys and payloads of action results for one app's backend."""

    def __init__(self, app: Celery, patience: float | None = None) -> None:
        """
        Args:
            app: whose backend it is.
            patience: seconds that an answer may take, on connections of its own; None: on those of the backend, as its
                settings say.

        Raises:
            BackendNotSupportedError: the backend is not Redis-compatible, its settings cannot be used, or its results
                are not JSON.
        """
        backend = backend_of(app)
        if not isinstance(backend, RedisBackend):
            found = hide_password(str(app.conf.result_backend or "none"))
            raise BackendNotSupportedError(
                f"The app {app.main or app!r} has the result backend {found!r} ({type(backend).__name__}); "
                "the engine needs Redis or Valkey, for example result_backend = 'redis://localhost:6379/0' "
                "(rediss:// and sentinel:// work too)"
            )
        if backend.serializer != "json":
            raise BackendNotSupportedError(
                f"The app {app.main or app!r} has result_serializer = {backend.serializer!r}; expected 'json': "
                "results are read by other processes and must not run code when they are read"
            )
        if patience is not None:
            backend = type(backend)(app=app, url=backend.url)
            backend.connparams["socket_timeout"] = min(patience, backend.connparams["socket_timeout"] or patience)
        apart_after_forks(backend)
        self._backend = backend
        #: Whether JSON is written as Python does it, unless an app has an encoder of its own.
        encode: Callable[..., tuple[str, str, Any]] = dumps
        self._is_plain = encode(_SAMPLE, serializer=backend.serializer)[2] == json.dumps(_SAMPLE)
        #: What its keys have before the id.
        self._prefix = self.task_key(_ANY_ID).removesuffix(_ANY_ID)
        self._log = get_logger()

    @property
    def client(self) -> Any:
        """The Redis client of the backend: no second connection setting."""
        return self._backend.client

    @property
    def expires(self) -> int:
        """Seconds that results are kept (``result_expires``); 0: for ever."""
        return int(self._backend.expires or 0)

    def ensure(self, function: Callable[[], Any], tries: int | None = None) -> Any:
        """Call, and while the server is away call again, 1 s apart: so often, or as the backend's policy says.

        That is 20 times by default.
        """
        policy = self._backend.retry_policy
        if tries is not None:
            policy = {**policy, "max_retries": tries - 1}
        retry: Callable[..., Any] = retry_over_time
        return retry(function, self._backend.connection_errors, errback=self._try_again, **policy)

    def _try_again(self, error: BaseException, intervals: Iterator[float], retries: int) -> float:
        self._log.warning("server away, to be tried again", error=str(error), retries=retries)
        return next(intervals)

    def key(self, execution_id: str, action_id: str) -> str:
        """The backend's key for the result of an action."""
        return self._prefix + action_task_id(execution_id, action_id)

    def keys(self, execution_id: str, action_ids: Sequence[str]) -> list[str]:
        """The backend's keys for the results of some actions."""
        return [self._prefix + task_id for task_id in action_task_ids(execution_id, action_ids)]

    def task_key(self, task_id: str) -> str:
        """The backend's key for the result of a task."""
        key = self._backend.get_key_for_task(task_id)
        return key.decode() if isinstance(key, bytes) else str(key)

    def success(self, execution_id: str, action_id: str, output: JsonValue) -> bytes | str:
        """Payload of a completed action; raises what the codec raises for a value that is not JSON."""
        return self._payload(execution_id, action_id, states.SUCCESS, output)

    def failure(
        self, execution_id: str, action_id: str, error: ErrorDetail, traceback: str | None = None
    ) -> bytes | str:
        """Payload of a failed action: ``AsyncResult.get()`` raises :class:`ActionFailedError`."""
        raised = ActionFailedError(
            f"Action {action_id!r} failed: {error.message}", action_id, error.model_dump(mode="json")
        )
        result = self._backend.prepare_exception(raised)
        return self._payload(execution_id, action_id, states.FAILURE, result, traceback)

    def skipped(self, execution_id: str, action_id: str, reason: str) -> bytes | str:
        """Payload of a skipped action: REVOKED, the one state of Celery that is ready and no success."""
        result = self._backend.prepare_exception(TaskRevokedError(f"skipped: {reason}"))
        return self._payload(execution_id, action_id, states.REVOKED, result)

    def final(self, execution_id: str, state: dict[str, Any], error: Exception | None) -> bytes | str:
        """Payload of the execution itself, where no task of its own ends it."""
        if error is None:
            return self._encode(execution_id, states.SUCCESS, state)
        return self._encode(execution_id, states.FAILURE, self._backend.prepare_exception(error))

    def size(self, payload: bytes | str) -> int:
        """Bytes of a payload as JSON, whether it is compressed or not."""
        return len(decompress_payload(payload))

    def output(self, payload: bytes | str) -> JsonValue:
        """The output in the payload of a completed action."""
        output: JsonValue = self._backend.decode(payload)["result"]
        return output

    def outputs(self, payloads: Sequence[bytes]) -> list[JsonValue]:
        """As :meth:`output`, of many: one parse of all takes a quarter of the time of one of each."""
        if all(payload.startswith(b"{") for payload in payloads):
            return [meta["result"] for meta in self._backend.decode(b"[%s]" % b",".join(payloads))]
        # The backend compresses.
        return [self.output(payload) for payload in payloads]

    def _payload(
        self, execution_id: str, action_id: str, status: str, result: Any, traceback: str | None = None
    ) -> bytes | str:
        task_id = action_task_id(execution_id, action_id)
        return self._encode(task_id, status, result, traceback, parent_id=execution_id)

    def _encode(self, task_id: str, status: str, result: Any, traceback: str | None = None, **more: str) -> bytes | str:
        meta = {
            "status": status,
            "result": result,
            "date_done": datetime.now(UTC).isoformat(),
            "task_id": task_id,
            **more,
        }
        if traceback is not None:
            meta["traceback"] = traceback
        if self._is_plain:
            # The codec makes an encoder anew for each call, which takes twice as long as what it then does.
            with suppress(TypeError, ValueError, RecursionError):
                text = json.dumps(meta)
                if not self._backend.compression or len(text) < COMPRESS_FROM:
                    return text
        payload: bytes | str = self._backend.encode(meta)
        return payload


def backend_of(app: Celery) -> Any:
    """The app's backend. What a wrong setting makes Celery raise is whatever its code for that backend runs into.

    Raises:
        BackendNotSupportedError: its settings cannot be used.
    """
    try:
        return app.backend
    except Exception as error:
        url = str(app.conf.result_backend)
        raise BackendNotSupportedError(
            f"The app {app.main or app!r} has the result backend {hide_password(url)!r}, which cannot be set up: "
            f"{url_problem(url, error)}; correct result_backend, or the setting that is named"
        ) from error

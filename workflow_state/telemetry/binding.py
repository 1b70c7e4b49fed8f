"""What holds while an attempt runs: its names are on every line that is logged, and its secrets on none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from contextvars import ContextVar, Token
from typing import Any

from structlog.contextvars import bind_contextvars, reset_contextvars

from workflow_state.telemetry.attempt import AttemptInfo


class AttemptSecrets:
    """The secret texts that an attempt was given; found when first asked for, since most attempts log nothing.

    ``find``: looks for them.
    """

    def __init__(self, find: Callable[[], Set[str]]) -> None:
        self._find = find
        self._found: Set[str] | None = None

    def __call__(self) -> Set[str]:
        if self._found is None:
            # To find them runs the validators of users' models, which may log, and would ask again.
            self._found = frozenset()
            self._found = self._find()
        return self._found


_secrets: ContextVar[Callable[[], Set[str]]] = ContextVar("workflow_state_secrets", default=frozenset)


def secrets_here() -> Set[str]:
    """The secrets of the attempt that runs in this context; none outside of one."""
    return _secrets.get()()


class attempt_bound:
    """While the body runs, log lines carry the attempt's names and hide its secrets, whichever logger writes them."""

    # A class, since every attempt enters it: a generator's context manager takes three times as long.
    __slots__ = ("_attempt", "_find", "_names", "_token")

    def __init__(self, attempt: AttemptInfo, secrets: Callable[[], Set[str]]) -> None:
        self._attempt = attempt
        self._find = secrets

    def __enter__(self) -> None:
        attempt = self._attempt
        self._token: Token[Callable[[], Set[str]]] = _secrets.set(self._find)
        self._names: Mapping[str, Token[Any]] = bind_contextvars(
            execution_id=attempt.execution_id,
            plan_id=attempt.plan_id,
            action_id=attempt.action_id,
            attempt=attempt.attempt,
        )

    def __exit__(self, *_: object) -> None:
        reset_contextvars(**self._names)
        _secrets.reset(self._token)

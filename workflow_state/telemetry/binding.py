"""What holds while an attempt runs: its names are on every line that is logged, and its secrets on none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from contextvars import ContextVar

from structlog.contextvars import bound_contextvars

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


@contextmanager
def attempt_bound(attempt: AttemptInfo, secrets: Callable[[], Set[str]]) -> Iterator[None]:
    """While the body runs, log lines carry the attempt's names and hide its secrets, whichever logger writes them."""
    token = _secrets.set(secrets)
    try:
        with bound_contextvars(
            execution_id=attempt.execution_id,
            plan_id=attempt.plan_id,
            action_id=attempt.action_id,
            attempt=attempt.attempt,
        ):
            yield
    finally:
        _secrets.reset(token)

"""The store's part of batches: many actions of one execution begin, or end, in one round trip and one step."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workflow_state.program import Step
from workflow_state.store.lua import SPELLED
from workflow_state.store.records import Begun, Head
from workflow_state.store.redis import Call, Store

#: Where a reply of ``finish`` has the head, as Lua counts: only the last one's is the one that counts.
_HEAD = 2


@dataclass(frozen=True, slots=True)
class End:
    """How the attempt of one action ends; ``what`` as ``Store.finish_call`` takes it."""

    action_id: str
    token: int
    outcome: str
    what: Mapping[str, Any] = field(default_factory=dict)


class BatchStore:
    """One method for each transition, as in :class:`Store`; each action is told apart in the answer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(
        self, execution_id: str, steps: Sequence[Step], attempt: int, owner: str, lease_ms: int, created: str = ""
    ) -> list[Begun]:
        """Take the leases of actions; the answer for each, see ``begin.lua``."""
        calls = [
            self._store.begin_call(
                execution_id, step.id, attempt, owner, lease_ms, step.sources, step.level, created=created
            )
            for step in steps
        ]
        return [Begun.read(reply) for reply in self._each("begin", execution_id, calls, 0)]

    def finish(self, execution_id: str, ends: Sequence[End], tries: int | None = None) -> tuple[list[str], Head | None]:
        """End attempts: ``ok``, ``repeated`` or ``stale`` for each, and where the execution stands after all of them.

        The head names everyone whose turn has come. ``tries``: as for ``Store.finish``.
        """
        calls = [self._store.finish_call(execution_id, e.action_id, e.token, e.outcome, **e.what) for e in ends]
        replies = self._each("finish", execution_id, calls, _HEAD, tries)
        turns = [name for reply in replies for name in (reply[2] if len(reply) > 2 else ())]
        opened = any(reply[3] for reply in replies if len(reply) > 3)
        last = replies[-1]
        head = Head.read(last[1], turns, opened) if len(last) > 1 else None
        return [reply[0].decode() for reply in replies], head

    def _each(
        self, script: str, execution_id: str, calls: Sequence[Call], head_at: int, tries: int | None = None
    ) -> list[Any]:
        keys = [self._store.keys.execution(execution_id), *(key for own, _ in calls for key in own)]
        # One argument for all of them: to encode and to parse thousands would take longer than the rest.
        packed = json.dumps([[len(own), *map(_text, args)] for own, args in calls])
        common = 1 + len(SPELLED[script])
        replies: list[Any] = self._store.run(f"{script}_each", keys, [execution_id, common, head_at, packed], tries)
        return replies


def _text(argument: Any) -> str:
    return argument.decode() if isinstance(argument, bytes) else str(argument)

"""The store's part of batches: many actions of one execution begin, or end, in one round trip and one step."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workflow_state.program import Step
from workflow_state.store.records import Begun, Head
from workflow_state.store.redis import Call, Store

#: What the scripts are told of arguments and replies, as Lua counts, 0 where there is none: which own argument, and
#: which part of a reply, is results as the backend wrote them, that may be no text; and which part of a reply is the
#: head: only the last one's is the one that counts.
_PLACES = {"begin": (0, 6, 0), "finish": (6, 0, 2)}


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
        return [Begun.read(reply, created) for reply in self._each("begin", execution_id, calls)]

    def finish(self, execution_id: str, ends: Sequence[End], tries: int | None = None) -> tuple[list[str], Head | None]:
        """End attempts: ``ok``, ``repeated`` or ``stale`` for each, and where the execution stands after all of them.

        The head names everyone whose turn has come. ``tries``: as for ``Store.finish``.
        """
        calls = [self._store.finish_call(execution_id, e.action_id, e.token, e.outcome, **e.what) for e in ends]
        replies = self._each("finish", execution_id, calls, tries)
        turns = [name for reply in replies for name in (reply[2] if len(reply) > 2 else ())]
        opened = any(reply[3] for reply in replies if len(reply) > 3)
        last = replies[-1] if replies else []
        head = Head.read(last[1], turns, opened) if len(last) > 1 else None
        return [reply[0] for reply in replies], head

    def _each(self, script: str, execution_id: str, calls: Sequence[Call], tries: int | None = None) -> list[Any]:
        if not calls:
            return []
        places = raw_argument, raw_reply, _ = _PLACES[script]
        raw = []
        if raw_argument:
            for _, args in calls:
                raw.append(args[raw_argument - 1])
                args[raw_argument - 1] = ""
        # One text for all else, and one back: to send and to read thousands would take longer than the rest.
        packed = json.dumps([[keys, "", *map(str, args)] for keys, args in calls])
        common = [self._store.keys.execution(execution_id)]
        answer, *found = self._store.run(f"{script}_each", common, [execution_id, *places, packed, *raw], tries)
        replies: list[list[Any]] = json.loads(answer)
        for reply in replies:
            if 0 < raw_reply <= len(reply):
                reply[raw_reply - 1] = [found[place - 1] if place else None for place in reply[raw_reply - 1]]
        return replies

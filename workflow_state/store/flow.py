"""The store's part of the schedule ``dataflow``: whose turn has come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workflow_state.store.reader import SLICE
from workflow_state.store.records import Head, Record, Settled
from workflow_state.store.redis import Store, rows_of

#: Of an action that ends: who waits for it, each with the number of its needs.
Waiting = Sequence[tuple[str, int]]


class FlowStore:
    """One method for each transition, as in :class:`Store`.

    An action is *ready* when all of its needs have ended, so that its turn has come, and it has neither begun nor
    ended nor is a person asked about it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys = store.keys

    def open(
        self, execution_id: str, turns: Sequence[str], met: Mapping[str, int], opener: str, look_after_ms: int
    ) -> Head | None:
        """Open an execution with those that are ready at once; None when another did, or nothing may start.

        ``met``: how many needs of others have ended already, where some have. ``opener``: unique to the call.
        """
        keys = self._keys
        names = [keys.execution(execution_id), keys.deadlines, keys.log(execution_id)]
        names += [keys.met(execution_id), keys.ready(execution_id)]
        counted = [item for pair in met.items() for item in pair]
        opened, *head = self._store.run(
            "flow_open", names, [execution_id, look_after_ms, opener, len(turns), *turns, *counted]
        )
        return Head.read(head[0], [name.encode() for name in turns]) if opened else None

    def decide(
        self,
        execution_id: str,
        ended: Sequence[tuple[Settled, Waiting]],
        asked: Mapping[str, int | None],
        halted: str,
        look_after_ms: int,
    ) -> Head | None:
        """Carry out decisions about ready actions; where the execution stands then, and whose turn has come.

        ``ended``: those that a decision ends; ``asked``: those that wait for a confirmation, each with its timeout
        in milliseconds; ``halted``: which of the ended ones halts the execution, or "".
        """
        keys, settled = self._keys, [one for one, _ in ended]
        names = [keys.execution(execution_id), keys.actions(execution_id), keys.deadlines, keys.log(execution_id)]
        names += [keys.met(execution_id), keys.ready(execution_id), keys.confirmations(execution_id)]
        names += [self._store.results.key(execution_id, one.action_id) for one in settled]
        args: list[Any] = [execution_id, look_after_ms, halted, len(asked), len(ended)]
        args += [item for name, ms in asked.items() for item in (name, "" if ms is None else ms)]
        args += rows_of(settled)
        for _, waiting in ended:
            args += [len(waiting), *(item for pair in waiting for item in pair)]
        reply = self._store.run("flow_decide", names, args)
        return Head.read(*reply) if reply else None

    def claim(self, execution_id: str, action_ids: Sequence[str], until: int) -> list[str]:
        """Those that are ready, and whose turn came or whose message was sent at ``until`` (ms) or before.

        They count as sent now, so that a claim repeated with the same ``until`` gets none of them.
        """
        found: list[str] = []
        for start in range(0, len(action_ids), SLICE):
            part = action_ids[start : start + SLICE]
            claimed = self._store.run("flow_claim", [self._keys.ready(execution_id)], [until, *part])
            found += [name.decode() for name in claimed]
        return found

    def ready(self, execution_id: str, until: int | None = None) -> list[str]:
        """All that are ready; only those whose turn came or whose message was sent at ``until`` (ms) or before."""
        last = "+inf" if until is None else until
        found = self._store.results.client.zrangebyscore(self._keys.ready(execution_id), "-inf", last)
        return [name.decode() for name in found]

    def among(self, execution_id: str, action_ids: Sequence[str]) -> list[str]:
        """Those of the actions that are ready."""
        key, found = self._keys.ready(execution_id), []
        for start in range(0, len(action_ids), SLICE):
            part = list(action_ids[start : start + SLICE])
            scores: Iterable[float | None] = self._store.results.client.zmscore(key, part)
            found += [name for name, score in zip(part, scores, strict=True) if score is not None]
        return found

    def begun(self, execution_id: str) -> dict[str, Record]:
        """The records of all actions that have one: a person was asked about them, or they began, or ended."""
        stored = self._store.results.client.hgetall(self._keys.actions(execution_id))
        return {name.decode(): Record.read(raw) for name, raw in stored.items()}

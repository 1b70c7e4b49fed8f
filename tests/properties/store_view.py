"""All that the store has written, read at once; and what must be true of it, whatever came before."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.properties.store_model import OVER, TERMINAL, Action, Execution
from workflow_state.store.keys import split_member
from workflow_state.store.records import Record
from workflow_state.store.redis import Store

FIELDS = {
    *("status", "driver", "cursor", "open", "failed", "skipped", "waiting", "halted", "cancel", "opener", "version"),
    *("created_at", "started_at", "completed_at", "touched_at", "error", "ender", "ending_until", "closed"),
}
"""Every field that an execution's hash may have here."""


@dataclass
class Stored:
    """What is stored of one execution, as it is stored; ``lasts``: whether each of its keys that exist has no TTL."""

    fields: dict[str, str] = field(default_factory=dict)
    records: dict[str, bytes] = field(default_factory=dict)
    attempts: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)
    parts: set[int] = field(default_factory=set)
    ready: dict[str, int] = field(default_factory=dict)
    met: dict[str, int] = field(default_factory=dict)
    results: dict[str, bytes] = field(default_factory=dict)
    lasts: dict[str, bool] = field(default_factory=dict)

    @property
    def read(self) -> dict[str, Record]:
        return {name: Record.read(raw) for name, raw in self.records.items()}

    @property
    def ended(self) -> set[str]:
        return {name for name, record in self.read.items() if record.status in TERMINAL}

    @property
    def visible(self) -> Any:
        """What a reader of the state can see: leases and claims are the engine's own business."""
        hidden = ("version", "ender", "ending_until", "closed")
        fields = {name: value for name, value in self.fields.items() if name not in hidden}
        records = {name: (r.status, r.attempt, r.phase, r.error) for name, r in self.read.items()}
        return fields, records, self.attempts, self.answers, self.results


@dataclass
class View:
    """The database; ``deadlines``: (execution id, action id or "") → due."""

    executions: dict[str, Stored] = field(default_factory=dict)
    deadlines: dict[tuple[str, str], int] = field(default_factory=dict)

    @classmethod
    def of(cls, store: Store, execution_ids: tuple[str, ...], action_ids: tuple[str, ...]) -> View:
        """Read everything in one round trip."""
        keys = store.keys
        results = {one: [store.results.key(one, name) for name in action_ids] for one in execution_ids}
        names = {one: [*keys.all_of(one), *results[one]] for one in execution_ids}
        with store.results.client.pipeline(transaction=False) as pipe:
            pipe.zrange(keys.deadlines, 0, -1, withscores=True)
            for one in execution_ids:
                for key in (keys.execution(one), keys.actions(one), keys.attempts(one), keys.confirmations(one)):
                    pipe.hgetall(key)
                pipe.smembers(keys.parts(one))
                pipe.zrange(keys.ready(one), 0, -1, withscores=True)
                pipe.hgetall(keys.met(one))
                pipe.mget(results[one])
                for key in names[one]:
                    pipe.ttl(key)
            deadlines, *found = pipe.execute()
        view = cls(deadlines={split_member(member.decode()): int(due) for member, due in deadlines})
        size = len(found) // len(execution_ids)
        for n, one in enumerate(execution_ids):
            fields, records, attempts, answers, parts, ready, met, payloads, *ttl = found[n * size : (n + 1) * size]
            view.executions[one] = Stored(
                {name.decode(): value.decode() for name, value in fields.items()},
                {name.decode(): raw for name, raw in records.items()},
                {name.decode(): raw for name, raw in attempts.items()},
                {name.decode(): raw for name, raw in answers.items()},
                {int(part) for part in parts},
                {name.decode(): int(since) for name, since in ready},
                {name.decode(): int(count) for name, count in met.items()},
                {name: raw for name, raw in zip(action_ids, payloads, strict=True) if raw is not None},
                {key: left == -1 for key, left in zip(names[one], ttl, strict=True) if left != -2},
            )
        return view


def agrees(stored: Stored, known: Execution) -> None:
    """What is stored of an execution is what the model has of it, and nothing besides."""
    fields = stored.fields
    assert set(fields) <= FIELDS
    texts = tuple(fields.get(name, "") for name in ("status", "halted", "cancel", "driver"))
    counts = tuple(int(fields.get(name, 0)) for name in ("cursor", "open", "failed", "skipped", "waiting", "version"))
    assert texts == (known.status, known.halted, known.cancel, known.driver)
    assert counts == (known.cursor, known.open, known.failed, known.skipped, known.waiting, known.version)
    records = {name: _summary(record) for name, record in stored.read.items()}
    assert records == {name: _modelled(action) for name, action in known.actions.items()}
    outcomes = {f"{number}:{name}": outcome for (name, number), outcome in known.attempts.items()}
    assert {key: json.loads(raw)["outcome"] for key, raw in stored.attempts.items()} == outcomes
    assert {name: json.loads(raw).get("confirmed") for name, raw in stored.answers.items()} == known.answers
    assert (stored.parts, stored.ready, stored.met) == (known.parts, known.ready, known.met)
    assert {name: raw.decode() for name, raw in stored.results.items()} == known.results


def promises_hold(execution_id: str, view: View, dispatched: set[str]) -> None:
    """What is true of any history, whatever the model says. ``dispatched``: actions that levels opened with."""
    stored = view.executions[execution_id]
    fields, read, ended = stored.fields, stored.read, stored.ended
    workers, closed = fields["driver"] == "workers", "closed" in fields
    assert int(fields["open"]) == len(dispatched - ended), "open counts what was dispatched and has not ended"
    assert set(stored.results) == ended, "a result exists exactly when its action has ended"
    for_ever = {name for name, record in read.items() if record.phase == "confirmation" and not record.due}
    watched = set(read) - ended - for_ever if workers else set()
    moves = fields["status"] != "initializing" or "cancel" in fields
    watched |= {""} if (moves or fields["status"] in OVER) and not closed else set()
    found = {name for owner, name in view.deadlines if owner == execution_id}
    assert found == watched, "a deadline is behind all that runs or waits, and nothing else"
    assert set(stored.lasts.values()) == {not closed}, "a TTL is for closed executions alone"


def version_grows(old: Stored | None, new: Stored) -> None:
    """The version never falls, and grows with every change that a reader of the state could see."""
    if old is not None and old.fields:
        grown = int(new.fields["version"]) - int(old.fields["version"])
        assert grown >= 0
        assert grown or old.visible == new.visible


def _summary(record: Record) -> tuple[Any, ...]:
    error = json.loads(record.error)["message"] if record.error else None
    numbers = (record.attempt, record.token, record.lost)
    rest = (record.owner, record.lease, record.started_at, record.ended_at, error)
    return (record.status, *numbers, record.phase or "", *rest)


def _modelled(action: Action) -> tuple[Any, ...]:
    numbers = (action.attempt, action.token, action.lost)
    rest = (action.owner, action.lease, action.started_at, action.ended_at, action.error)
    return (action.status, *numbers, action.phase, *rest)

"""What the store's scripts give back, as typed values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workflow_state.errors import WorkflowStateError

#: JSON of an object.
Json = dict[str, Any]


class StoreError(WorkflowStateError):
    """The store answered something that this version does not know."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where an execution stands.

    ``open``: actions of the current level that have not ended; ``halted``: the action whose failure ends
    the execution; ``cancel``: the reason, when it was cancelled; ``created``: when the execution was, which tells two
    of the same id apart. ``turns``: where actions start as their own needs end, those whose turn came with the change
    that led here; ``opened``: where levels are waited for, that it opened the current one, which is still to be
    published.
    """

    status: str
    cursor: int
    open: int
    halted: str
    failed: int
    skipped: int
    cancel: str
    driver: str
    seeded: str
    paused: str
    created: str = ""
    turns: tuple[str, ...] = ()
    opened: bool = False

    @property
    def active(self) -> bool:
        """Whether the engine may still move it: it runs, and workers drive it."""
        return self.status in ("running", "paused_for_confirmation") and self.driver != "manual"

    @property
    def ended(self) -> bool:
        """Whether its final status is set."""
        return self.status in ("completed", "failed", "cancelled")

    @property
    def leads_on(self) -> bool:
        """Whether something starts, or the execution ends, by the change that led here."""
        return self.open == 0 or bool(self.turns) or self.opened

    @property
    def stopping(self) -> bool:
        """Whether nothing new may start."""
        return bool(self.halted or self.cancel)

    @property
    def all_well(self) -> bool:
        """Nothing failed, was skipped or taken over: the next level is untouched and all before it completed."""
        return self.failed == 0 and self.skipped == 0 and not self.seeded

    @classmethod
    def read(cls, reply: Sequence[Any], turns: Sequence[bytes | str] = (), opened: int = 0) -> Head:
        status, cursor, open_, halted, failed, skipped, *rest = reply
        cancel, driver, seeded, paused, created = map(_text, rest)
        counts = int(cursor), int(open_)
        ended = int(failed), int(skipped)
        ids = tuple(map(_text, turns))
        return cls(
            _text(status), *counts, _text(halted), *ended, cancel, driver, seeded, paused, created, ids, bool(opened)
        )


@dataclass(frozen=True, slots=True)
class Record:
    """One action's record. Times are milliseconds since the epoch, by the server's clock.

    ``token`` is the fencing token of the last lease, ``lost`` how many attempts ended with their
    worker. ``phase`` is ``retry`` between two attempts, ``confirmation`` while a person is asked,
    ``confirmed`` once they agreed and until the action begins, and ``remote`` while a service is asked.
    ``entry`` is the number of the attempt's entry in the log. ``due``: when the next attempt is, or until when an
    answer is waited for.
    """

    status: str = "pending"
    attempt: int = 0
    token: int = 0
    lost: int = 0
    phase: str | None = None
    owner: str = ""
    worker: str = ""
    started_at: int | None = None
    attempt_at: int | None = None
    ended_at: int | None = None
    lease: int | None = None
    due: int | None = None
    error: str | None = None
    reason: str = ""
    remote: bool = False
    entry: int = 0

    @property
    def may_begin(self) -> bool:
        """Whether nothing but its message is missing."""
        return self.status == "pending" and self.phase != "confirmation"

    @classmethod
    def read(cls, raw: bytes | str | None) -> Record:
        """From the stored JSON; absent means pending. What only a newer version knows is left out."""
        return cls.of(json.loads(raw)) if raw else _PENDING

    @classmethod
    def of(cls, stored: Json) -> Record:
        """From what is stored, parsed; what is missing is at its default."""
        if not stored:
            return _PENDING
        try:
            return cls(**stored)
        except TypeError:
            # To look for fields of a newer version every time would cost more than the rest.
            return cls(**{name: stored[name] for name in cls.__slots__ if name in stored})

    def stored(self) -> Json:
        """As it could be stored, with all of its fields."""
        return {name: getattr(self, name) for name in self.__slots__}


_PENDING = Record()


@dataclass(frozen=True, slots=True)
class Begun:
    """The answer to ``begin``: ``lease`` with what is needed to run, or why there is nothing to do.

    ``number`` and ``at`` (milliseconds) are those of the attempt's entry in the log. ``created``: of the execution that
    the lease is of, as the caller knows it; "" when that was not asked.
    """

    answer: str
    attempt: int = 0
    token: int = 0
    lost: int = 0
    records: Sequence[Record] = ()
    results: Sequence[bytes | None] = ()
    head: Head | None = None
    halted: str = ""
    number: int = 0
    at: int = 0
    created: str = ""

    @classmethod
    def on_record(cls, record: Record, created: str) -> Begun:
        """The attempt that a record says is under way; who has it is elsewhere.

        ``created``: of its execution, read before the record.
        """
        return cls("lease", record.attempt, record.token, record.lost, at=record.attempt_at or 0, created=created)

    @classmethod
    def read(cls, reply: Sequence[Any], created: str = "") -> Begun:
        answer = _text(reply[0])
        if answer == "lease":
            records = [Record.read(raw) for raw in reply[4]]
            number, at = int(reply[6]), int(reply[7])
            counts = int(reply[1]), int(reply[2]), int(reply[3])
            return cls(answer, *counts, records, reply[5], number=number, at=at, created=created)
        if answer == "done":
            return cls(answer, head=Head.read(reply[1], opened=reply[2]))
        if answer == "halted":
            return cls(answer, halted=_text(reply[1]))
        if answer in ("unknown", "ended", "owned", "early", "paused", "other"):
            return cls(answer)
        raise StoreError(f"begin answered {answer!r}; is a newer version of workflow_state on the same server?")


@dataclass(frozen=True, slots=True)
class Settled:
    """An action that a decision ends, with no message and no attempt: skipped, or failed by its condition.

    A condition's failure with a fallback value makes it completed, with the error kept.
    """

    action_id: str
    status: str
    payload: bytes | str
    reason: str = ""
    error: str | None = None
    between_attempts: bool = False
    times: Mapping[str, int | None] = field(default_factory=dict)

    def record(self) -> str:
        """The record's JSON; the script adds the time. ``between`` is a word to the script alone."""
        fields: dict[str, str | bool | int | None] = {**self.times, "status": self.status, "reason": self.reason}
        if self.error is not None:
            fields["error"] = self.error
        if self.between_attempts:
            fields["between"] = True
        return json.dumps(fields)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One thing that happened; ``number`` counts from 1 in each execution, ``at`` is milliseconds."""

    number: int
    at: int
    kind: str
    action_id: str
    data: Mapping[str, Any]

    @classmethod
    def read(cls, entry_id: bytes, fields: Mapping[bytes, bytes]) -> LogEntry:
        number = int(entry_id.partition(b"-")[0])
        kind, action_id = fields[b"type"].decode(), fields[b"action"].decode()
        return cls(number, int(fields[b"at"]), kind, action_id, json.loads(fields[b"data"]))

    @classmethod
    def read_raw(cls, entry: Sequence[Any]) -> LogEntry:
        """From what a script gives: the id, and names and values by turns."""
        entry_id, flat = entry
        return cls.read(entry_id, dict(zip(flat[::2], flat[1::2], strict=True)))


@dataclass(frozen=True, slots=True)
class Frame:
    """What is known of one execution as a whole; ``fields`` is its hash as text.

    ``tried``: whether attempts of it failed or were lost, ``told``: whether any told how far it has come.
    """

    fields: dict[str, str]
    confirmations: dict[str, Json]
    tried: bool
    told: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All records of one execution, read at one moment; ``fields`` is its hash as text.

    ``stored``: the records of actions, as they are stored.
    """

    fields: dict[str, str]
    plan: bytes
    program: bytes
    stored: dict[str, Json]
    attempts: dict[str, list[Json]] = field(default_factory=dict)
    confirmations: dict[str, Json] = field(default_factory=dict)
    progress: dict[str, Json] = field(default_factory=dict)

    @property
    def actions(self) -> dict[str, Record]:
        """The records of actions, made anew each time."""
        return {name: Record.of(fields) for name, fields in self.stored.items()}


def parse_all(texts: Sequence[bytes | None]) -> list[Any]:
    """The values of JSON texts, None where there is none: one parse of all takes half as long as one of each."""
    found: list[Any] = json.loads(b"[%s]" % b",".join(text or b"null" for text in texts))
    return found


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""

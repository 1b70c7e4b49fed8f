"""Everything that only reads the records of executions."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from redis.exceptions import ResponseError

from workflow_state.errors import ExecutionNotFoundError
from workflow_state.references import MISSING, Outcome
from workflow_state.store.keys import Keys
from workflow_state.store.packing import unpacked
from workflow_state.store.records import Frame, Head, Json, LogEntry, Record, Snapshot, parse_all
from workflow_state.store.results import ActionResults

#: How many keys or fields one command names at most: it must not block the server for long.
SLICE = 1000

#: The highest number that is asked for; a stream's own limit is twice as much.
_LAST = 2**63 - 1

#: Fields of an execution's hash that make its head, as ``prelude.lua`` gives them.
HEAD = (
    *("status", "cursor", "open", "halted", "failed", "skipped", "cancel", "driver", "seeded", "paused"),
    "created_at",
)


class Reader:
    """Reads records of executions.

    Args:
        results: where action results live; its client is used for everything.
        prefix: of every key.
    """

    def __init__(self, results: ActionResults, prefix: str) -> None:
        self.results = results
        self.keys = Keys(prefix)

    def head(self, execution_id: str) -> Head | None:
        """Where an execution stands; None when it is unknown."""
        reply = self.results.client.hmget(self.keys.execution(execution_id), *HEAD)
        return Head.read(reply) if reply[0] else None

    def is_sent(self, execution_id: str) -> bool:
        """Whether it was sent, and no worker has accepted it yet."""
        return bool(self.results.client.exists(self.keys.sent(execution_id)))

    def fields(self, execution_id: str, *names: str) -> list[str]:
        """Fields of the execution's hash as text, "" where one is absent.

        Raises:
            ExecutionNotFoundError: it is unknown.
        """
        reply = self.results.client.hmget(self.keys.execution(execution_id), "status", *names)
        if reply[0] is None:
            raise ExecutionNotFoundError(execution_id)
        return [value.decode() if value else "" for value in reply[1:]]

    def check_there(self, execution_id: str, *, whole: bool) -> None:
        """For who has read an execution bit by bit: it had not gone meanwhile. ``whole``: no output was missing.

        Raises:
            ExecutionNotFoundError: it is gone, or is just being deleted: results go before records.
        """
        (deleting,) = self.fields(execution_id, "deleting")
        if deleting and not whole:
            raise ExecutionNotFoundError(execution_id)

    def program(self, execution_id: str) -> bytes | None:
        """The compiled program's JSON; None when the execution is unknown."""
        stored: bytes | None = self.results.client.get(self.keys.program(execution_id))
        return None if stored is None else unpacked(stored)

    def program_as_created(self, execution_id: str) -> tuple[bytes, str] | None:
        """The program's JSON and when its execution was created, of one moment; None when it is unknown."""
        keys = self.keys
        commands = ("GET", keys.program(execution_id)), ("HGET", keys.execution(execution_id), "created_at")
        stored, created = self._at_once(*commands)
        return None if stored is None or created is None else (unpacked(stored), created.decode())

    def created(self, execution_id: str) -> str:
        """When an execution was created, as it is stored: what tells two of the same id apart. "": it is unknown."""
        found: bytes | None = self.results.client.hget(self.keys.execution(execution_id), "created_at")
        return found.decode() if found else ""

    def log(self, execution_id: str, after: int = 0, limit: int = SLICE) -> list[LogEntry]:
        """What happened in an execution, in order: entries with a higher number than ``after``."""
        found = self.results.client.xrange(self.keys.log(execution_id), f"{_number(after) + 1}-0", "+", limit)
        return [LogEntry.read(number, fields) for number, fields in found]

    def log_length(self, execution_id: str) -> int:
        """The number of the newest entry; 0 when nothing has happened."""
        return int(self.results.client.xlen(self.keys.log(execution_id)))

    def await_log(self, execution_id: str, after: int, seconds: float) -> list[LogEntry]:
        """As :meth:`log`; waits up to so many seconds for the first of them, on the server.

        No longer than an answer may take on its connections (``redis_socket_timeout``).
        """
        key, client = self.keys.log(execution_id), self.results.client
        if limit := client.connection_pool.connection_kwargs.get("socket_timeout"):
            seconds = min(seconds, limit / 2)
        found: Any = []
        with client.client() as waiting:  # On one connection, as long as it waits.
            try:
                found = waiting.xread({key: f"{_number(after)}-0"}, SLICE, max(1, int(seconds * 1000)))
            except ResponseError as error:
                # A master that becomes a replica, as in a planned failover, ends all waiting with this, and then
                # closes the connection: whoever took that one next might send a command that nobody answers.
                if not str(error).startswith("UNBLOCKED "):
                    raise
                waiting.connection.disconnect()
        return [LogEntry.read(number, fields) for _, entries in found for number, fields in entries]

    def parts_left(self, execution_id: str) -> list[int]:
        """Parts of the current level that are not known to be published."""
        return sorted(int(part) for part in self.results.client.smembers(self.keys.parts(execution_id)))

    def rejected(self, execution_id: str) -> tuple[str, str] | None:
        """An action whose confirmation was rejected, and who did so ("": not said); None when there is none."""
        for name, raw in self.results.client.hgetall(self.keys.confirmations(execution_id)).items():
            answer = json.loads(raw)
            if answer.get("confirmed") is False:
                return name.decode(), answer.get("user_id", "")
        return None

    def stored(self, execution_id: str, action_ids: Sequence[str]) -> dict[str, Json]:
        """The records of some actions as they are stored, by action id; what is missing is at its default."""
        return {name: fields or {} for name, fields in self._read(self.keys.actions(execution_id), action_ids)}

    def records(self, execution_id: str, action_ids: Sequence[str]) -> dict[str, Record]:
        """The records of some actions, by action id."""
        return {name: Record.of(fields) for name, fields in self.stored(execution_id, action_ids).items()}

    def attempts(self, execution_id: str, records: Mapping[str, Json]) -> dict[str, list[Json]]:
        """The attempts of some actions that failed or were lost, by action id; one without any is left out."""
        fields = {
            f"{n}:{name}": name for name, record in records.items() for n in range(1, record.get("attempt", 0) + 1)
        }
        found: dict[str, list[Json]] = defaultdict(list)
        for field, entry in self._read(self.keys.attempts(execution_id), list(fields)):
            if entry is not None:
                found[fields[field]].append(entry)
        return found

    def progress(self, execution_id: str, action_ids: Sequence[str]) -> dict[str, Json]:
        """How far some actions have come, by action id; those that did not say are left out."""
        found = self._read(self.keys.progress(execution_id), action_ids)
        return {name: entry for name, entry in found if entry is not None}

    def _read(self, key: str, fields: Sequence[str]) -> Iterator[tuple[str, Json | None]]:
        """Fields of a hash of JSON, read a slice at a time."""
        for part in slices(fields):
            yield from zip(part, parse_all(self.results.client.hmget(key, part)), strict=True)

    def outputs(self, execution_id: str, action_ids: Sequence[str]) -> dict[str, Any]:
        """The outputs of completed actions, by action id; those without a stored result are left out."""
        found: dict[str, Any] = {}
        for part in slices(action_ids):
            payloads = self.results.client.mget(self.results.keys(execution_id, part))
            found |= self._outputs(zip(part, payloads, strict=True))
        return found

    def stored_with_outputs(
        self, execution_id: str, action_ids: Sequence[str]
    ) -> tuple[dict[str, Json], dict[str, Any]]:
        """As :meth:`stored`, and the :meth:`outputs` of those that are completed, a slice at a time."""
        stored: dict[str, Json] = {}
        outputs: dict[str, Any] = {}
        for part in slices(action_ids):
            records = "HMGET", self.keys.actions(execution_id), *part
            raw, payloads = self._at_once(records, ("MGET", *self.results.keys(execution_id, part)))
            stored |= zip(part, (fields or {} for fields in parse_all(raw)), strict=True)
            rows = zip(part, payloads, strict=True)
            outputs |= self._outputs((name, raw) for name, raw in rows if stored[name].get("status") == "completed")
        return stored, outputs

    def _outputs(self, rows: Iterable[tuple[str, bytes | None]]) -> dict[str, Any]:
        there = {name: payload for name, payload in rows if payload is not None}
        return dict(zip(there, self.results.outputs(list(there.values())), strict=True))

    def outcomes(self, execution_id: str, action_ids: Sequence[str], *, with_outputs: bool) -> dict[str, Outcome]:
        """What the rules need to know of some actions."""
        records = self.records(execution_id, action_ids)
        completed = [name for name, record in records.items() if record.status == "completed"]
        outputs = self.outputs(execution_id, completed) if with_outputs else {}
        return {name: outcome_of(record, outputs.get(name, MISSING)) for name, record in records.items()}

    def frame(self, execution_id: str) -> Frame:
        """What is known of an execution as a whole, read in one transaction.

        Raises:
            ExecutionNotFoundError: it is unknown.
        """
        keys = self.keys
        fields, confirmations, tried, told = self._at_once(
            ("HGETALL", keys.execution(execution_id)),
            ("HGETALL", keys.confirmations(execution_id)),
            ("EXISTS", keys.attempts(execution_id)),
            ("EXISTS", keys.progress(execution_id)),
        )
        if not fields:
            raise ExecutionNotFoundError(execution_id)
        return Frame(_texts(fields), _parsed(confirmations), bool(tried), bool(told))

    def snapshot(self, execution_id: str) -> Snapshot:
        """All records of an execution, read in one transaction.

        Raises:
            ExecutionNotFoundError: it is unknown.
        """
        keys = self.keys
        fields, plan, program, actions, attempts, confirmations, progress = self._at_once(
            ("HGETALL", keys.execution(execution_id)),
            ("GET", keys.plan(execution_id)),
            ("GET", keys.program(execution_id)),
            ("HGETALL", keys.actions(execution_id)),
            ("HGETALL", keys.attempts(execution_id)),
            ("HGETALL", keys.confirmations(execution_id)),
            ("HGETALL", keys.progress(execution_id)),
        )
        if not fields or plan is None or program is None:
            raise ExecutionNotFoundError(execution_id)
        traced: dict[str, list[Json]] = defaultdict(list)
        for name, entry in _parsed(attempts).items():
            traced[name.partition(":")[2]].append(entry)
        stored = _parsed(actions), traced, _parsed(confirmations), _parsed(progress)
        return Snapshot(_texts(fields), unpacked(plan), unpacked(program), *stored)

    def _at_once(self, *commands: tuple[str, ...]) -> list[Any]:
        """The replies to commands on keys, all of one moment."""
        with self.results.client.pipeline(transaction=True) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            replies: list[Any] = pipe.execute()
        return replies


def slices(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """No more names at a time than one command takes."""
    return (names[start : start + SLICE] for start in range(0, len(names), SLICE))


def _number(after: int) -> int:
    """What a stream takes for a number of ours: nothing stands before 0 or behind the last."""
    return min(max(after, 0), _LAST)


def _texts(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in fields.items()}


def _parsed(fields: Mapping[bytes, bytes]) -> dict[str, Json]:
    return dict(zip((name.decode() for name in fields), parse_all(list(fields.values())), strict=True))


def outcome_of(record: Record, output: Any = MISSING) -> Outcome:
    """A record as the rules see it."""
    error = json.loads(record.error) if record.error else None
    return Outcome(record.status, output, error, record.reason)

"""Everything that only reads the records of executions."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from workflow_state.errors import ExecutionNotFoundError
from workflow_state.references import MISSING, Outcome
from workflow_state.store.keys import Keys
from workflow_state.store.records import Head, LogEntry, Record, Snapshot
from workflow_state.store.results import ActionResults

#: How many keys or fields one command names at most: it must not block the server for long.
SLICE = 1000


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
        fields = ("status", "cursor", "open", "halted", "failed", "skipped", "cancel", "driver", "seeded", "paused")
        reply = self.results.client.hmget(self.keys.execution(execution_id), *fields)
        return Head.read(reply) if reply[0] else None

    def fields(self, execution_id: str, *names: str) -> list[str]:
        """Fields of the execution's hash as text, "" where one is absent.

        Raises:
            ExecutionNotFoundError: it is unknown.
        """
        reply = self.results.client.hmget(self.keys.execution(execution_id), "status", *names)
        if reply[0] is None:
            raise ExecutionNotFoundError(execution_id)
        return [value.decode() if value else "" for value in reply[1:]]

    def program(self, execution_id: str) -> bytes | None:
        """The compiled program's JSON; None when the execution is unknown."""
        text: bytes | None = self.results.client.get(self.keys.program(execution_id))
        return text

    def created(self, execution_id: str) -> str:
        """When an execution was created, as it is stored: what tells two of the same id apart. "": it is unknown."""
        found: bytes | None = self.results.client.hget(self.keys.execution(execution_id), "created_at")
        return found.decode() if found else ""

    def log(self, execution_id: str, after: int = 0, limit: int = SLICE) -> list[LogEntry]:
        """What happened in an execution, in order: entries with a higher number than ``after``."""
        found = self.results.client.xrange(self.keys.log(execution_id), f"{after + 1}-0", "+", limit)
        return [LogEntry.read(number, fields) for number, fields in found]

    def log_length(self, execution_id: str) -> int:
        """The number of the newest entry; 0 when nothing has happened."""
        return int(self.results.client.xlen(self.keys.log(execution_id)))

    def await_log(self, execution_id: str, after: int, seconds: float) -> list[LogEntry]:
        """As :meth:`log`; waits up to so many seconds for the first of them, on the server."""
        key = self.keys.log(execution_id)
        found = self.results.client.xread({key: f"{after}-0"}, SLICE, max(1, int(seconds * 1000)))
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

    def records(self, execution_id: str, action_ids: Sequence[str]) -> dict[str, Record]:
        """The records of some actions, by action id."""
        found: dict[str, Record] = {}
        key = self.keys.actions(execution_id)
        for start in range(0, len(action_ids), SLICE):
            part = action_ids[start : start + SLICE]
            found |= zip(part, Record.read_all(self.results.client.hmget(key, part)), strict=True)
        return found

    def attempts(self, execution_id: str, records: Mapping[str, Record]) -> dict[str, list[dict[str, Any]]]:
        """The attempts of some actions that failed or were lost, by action id; one without any is left out."""
        wanted = [(name, f"{n}:{name}") for name, record in records.items() for n in range(1, record.attempt + 1)]
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for start in range(0, len(wanted), SLICE):
            part = wanted[start : start + SLICE]
            entries = self.results.client.hmget(self.keys.attempts(execution_id), [field for _, field in part])
            for (name, _), entry in zip(part, entries, strict=True):
                if entry is not None:
                    found[name].append(json.loads(entry))
        return found

    def outputs(self, execution_id: str, action_ids: Sequence[str]) -> dict[str, Any]:
        """The outputs of completed actions, by action id; those without a stored result are left out."""
        found: dict[str, Any] = {}
        for start in range(0, len(action_ids), SLICE):
            part = action_ids[start : start + SLICE]
            payloads = self.results.client.mget([self.results.key(execution_id, name) for name in part])
            found |= {n: self.results.output(p) for n, p in zip(part, payloads, strict=True) if p is not None}
        return found

    def outcomes(self, execution_id: str, action_ids: Sequence[str], *, with_outputs: bool) -> dict[str, Outcome]:
        """What the rules need to know of some actions."""
        records = self.records(execution_id, action_ids)
        completed = [name for name, record in records.items() if record.status == "completed"]
        outputs = self.outputs(execution_id, completed) if with_outputs else {}
        return {name: outcome_of(record, outputs.get(name, MISSING)) for name, record in records.items()}

    def snapshot(self, execution_id: str) -> Snapshot:
        """All records of an execution, read in one transaction.

        Raises:
            ExecutionNotFoundError: it is unknown.
        """
        keys = self.keys
        with self.results.client.pipeline(transaction=True) as pipe:
            pipe.hgetall(keys.execution(execution_id))
            pipe.get(keys.plan(execution_id))
            pipe.get(keys.program(execution_id))
            pipe.hgetall(keys.actions(execution_id))
            pipe.hgetall(keys.attempts(execution_id))
            pipe.hgetall(keys.confirmations(execution_id))
            pipe.hgetall(keys.progress(execution_id))
            fields, plan, program, actions, attempts, confirmations, progress = pipe.execute()
        if not fields or plan is None or program is None:
            raise ExecutionNotFoundError(execution_id)
        traced: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for name, entry in attempts.items():
            traced[name.decode().partition(":")[2]].append(json.loads(entry))
        return Snapshot(
            {name.decode(): value.decode() for name, value in fields.items()},
            plan,
            program,
            dict(zip((name.decode() for name in actions), Record.read_all(list(actions.values())), strict=True)),
            traced,
            {name.decode(): json.loads(entry) for name, entry in confirmations.items()},
            {name.decode(): json.loads(entry) for name, entry in progress.items()},
        )


def outcome_of(record: Record, output: Any = MISSING) -> Outcome:
    """A record as the rules see it."""
    error = json.loads(record.error) if record.error else None
    return Outcome(record.status, output, error, record.reason)

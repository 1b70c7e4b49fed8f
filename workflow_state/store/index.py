"""The index of executions: the newest first, a page at a time, read in slices and never whole."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from workflow_state.errors import NewerSchemaError
from workflow_state.models import ExecutionPage, ExecutionStatus, ExecutionSummary
from workflow_state.store.newer import reading
from workflow_state.store.reader import SLICE, Reader
from workflow_state.store.rendering import status_of
from workflow_state.telemetry import get_logger

#: What a summary is made of.
FIELDS = (
    *("status", "waiting", "open", "cancel", "paused", "plan_id", "plan_name", "rerun_of"),
    *("created_at", "started_at", "completed_at", "total", "failed", "skipped"),
)
Position = tuple[int, str]
"""A place in the index: time of acceptance in milliseconds, execution id. It need not be there any more."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which executions to list; None: any. Times are milliseconds, ``since`` included, ``until`` not."""

    status: ExecutionStatus | None = None
    plan_id: str | None = None
    name: str | None = None
    since: int | None = None
    until: int | None = None

    @property
    def all(self) -> bool:
        """Whether nothing but the time decides, so that no record is read in vain."""
        return self.status is None and self.plan_id is None and self.name is None

    def fits(self, found: ExecutionSummary) -> bool:
        """Whether an execution is to be listed, its time apart."""
        return (
            (self.status is None or found.status == self.status)
            and (self.plan_id is None or found.plan_id == self.plan_id)
            and (self.name is None or self.name.casefold() in found.name.casefold())
        )


def in_milliseconds(time: datetime | None) -> int | None:
    """A time as the index has it.

    Raises:
        ValueError: it has no time zone.
    """
    if time is None:
        return None
    if time.tzinfo is None:
        raise ValueError(f"{time!r} has no time zone; datetime.now(UTC) has one")
    return math.ceil(time.timestamp() * 1000)


def read_page(store: Reader, wanted: Wanted, cursor: str | None, limit: int) -> ExecutionPage:
    """Up to ``limit`` executions that come after ``cursor``, the newest first.

    Raises:
        ValueError: the cursor is not one that a page had.
    """
    after = None if cursor is None else _position(cursor)
    size = limit + 1 if wanted.all else SLICE
    items: list[ExecutionSummary] = []
    places: list[Position] = []
    for part in _slices(store, wanted, after, min(size, SLICE)):
        for place, summary in zip(part, _summaries(store, part), strict=True):
            if summary is None or not wanted.fits(summary):
                continue
            if len(items) == limit:
                return ExecutionPage(items=tuple(items), cursor=_cursor(places[-1]))
            items.append(summary)
            places.append(place)
    return ExecutionPage(items=tuple(items))


def _slices(store: Reader, wanted: Wanted, after: Position | None, size: int) -> Iterator[list[Position]]:
    """The index in slices. A place is found by its time and id, not by a rank, so the index may change meanwhile."""
    lowest = "-inf" if wanted.since is None else wanted.since
    highest = "+inf" if wanted.until is None else f"({wanted.until}"
    if after is not None and (wanted.until is None or after[0] < wanted.until):
        highest = str(after[0])
    skipped = 0
    while True:
        found = store.results.client.zrevrangebyscore(
            store.keys.executions, highest, lowest, start=skipped, num=size, withscores=True
        )
        places = [(int(score), member.decode()) for member, score in found]
        part = [place for place in places if after is None or place < after]
        if part:
            yield part
            after = part[-1]
            highest, skipped = str(after[0]), 0
        else:
            # All of the same millisecond, and all seen before.
            skipped += len(places)
        if len(places) < size:
            return


def _summaries(store: Reader, places: list[Position]) -> list[ExecutionSummary | None]:
    """A summary of each execution; None where its records have expired, or only a newer version can read them."""
    with store.results.client.pipeline(transaction=False) as pipe:
        for _, execution_id in places:
            pipe.hmget(store.keys.execution(execution_id), *FIELDS)
        rows = pipe.execute()
    found = []
    for (_, execution_id), row in zip(places, rows, strict=True):
        fields = {name: value.decode() for name, value in zip(FIELDS, row, strict=True) if value is not None}
        found.append(_summary(execution_id, fields) if "status" in fields else None)
    return found


def _summary(execution_id: str, fields: Mapping[str, str]) -> ExecutionSummary | None:
    try:
        with reading(execution_id):
            return _read(execution_id, fields)
    except NewerSchemaError as error:
        # The others are to be seen nevertheless.
        get_logger().warning("execution left out", execution_id=execution_id, reason=str(error))
        return None


def _read(execution_id: str, fields: Mapping[str, str]) -> ExecutionSummary:
    status = status_of(fields)
    total, failed, skipped = (int(fields.get(name) or 0) for name in ("total", "failed", "skipped"))
    return ExecutionSummary(
        id=execution_id,
        plan_id=fields.get("plan_id", ""),
        name=fields.get("plan_name", ""),
        status=status,
        paused="paused" in fields and not status.ended,
        created_at=_time(fields["created_at"]),
        started_at=_time(fields["started_at"]) if "started_at" in fields else None,
        completed_at=_time(fields["completed_at"]) if "completed_at" in fields else None,
        total_actions=total,
        # Nobody counts them while it runs; at its end every action has ended in one of three ways.
        completed_actions=total - failed - skipped if status.ended else None,
        failed_actions=failed,
        skipped_actions=skipped,
        rerun_of=fields.get("rerun_of"),
    )


def _time(milliseconds: str) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


def _cursor(place: Position) -> str:
    return f"{place[0]}:{place[1]}"


def _position(cursor: str) -> Position:
    time, _, execution_id = cursor.partition(":")
    if not (time.isdecimal() and execution_id):
        raise ValueError(f"{cursor!r} is not a cursor; pass on the cursor of the page before, as it is")
    return int(time), execution_id

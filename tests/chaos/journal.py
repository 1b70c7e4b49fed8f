"""Two witnesses of a run that no worker can talk over: what user code did, and what the server recorded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from celery.backends.base import decompress_payload

TAIL = 8192
"""Bytes that hold the last lines of every process."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the journal: ``what`` is start or end; ``at``: seconds since the epoch."""

    what: str
    execution_id: str
    action_id: str
    attempt: int
    pid: int
    at: float


@dataclass(frozen=True, slots=True)
class Journal:
    """The file that the actions write to; see ``tests.chaos.actions``."""

    path: Path

    def lines(self, execution_id: str, action_id: str | None = None) -> list[Line]:
        """All whole lines of an execution, or of one action of it, in order."""
        if not self.path.exists():
            return []
        text = self.path.read_text()
        found = [Line(*json.loads(line)) for line in text[: text.rfind("\n") + 1].splitlines()]
        return [x for x in found if x.execution_id == execution_id and action_id in (None, x.action_id)]

    def starts(self, execution_id: str, action_id: str | None = None) -> list[Line]:
        """How user code began."""
        return [line for line in self.lines(execution_id, action_id) if line.what == "start"]

    def busy(self) -> set[int]:
        """Processes that were in the middle of an action a moment ago: by the end of the file, to be quick."""
        if not self.path.exists():
            return set()
        with self.path.open("rb") as file:
            file.seek(-min(TAIL, file.seek(0, os.SEEK_END)), os.SEEK_END)
            text = file.read().decode()
        # The first line may be cut, and the last not be whole yet.
        lines = [Line(*json.loads(line)) for line in text.split("\n")[1:-1]]
        last = {line.pid: line.what for line in lines}
        return {pid for pid, what in last.items() if what == "start"}

    def cut_off(self, execution_id: str) -> list[Line]:
        """Starts of user code without an end."""
        open_: dict[tuple[str, int, int], Line] = {}
        for line in self.lines(execution_id):
            key = (line.action_id, line.attempt, line.pid)
            if line.what == "start":
                open_[key] = line
            else:
                open_.pop(key, None)
        return list(open_.values())


def recorded(data_dir: Path, keys: Iterable[str]) -> dict[str, list[str]]:
    """What each of the keys, which hold results, was set to: the statuses, by the server's append-only file.

    It is the whole history as long as the file is not rewritten, and what a crash lost is not in it.
    """
    found: dict[str, list[str]] = {key: [] for key in keys}
    file = append_only_file(data_dir)
    assert file is not None, f"no append-only file in {data_dir}"
    with file.open("rb") as stream:
        for name, *words in _commands(stream):
            # One after the other, or those of a batch together.
            words = {b"SET": words[:2], b"MSET": words}.get(name.upper(), [])
            for key, text in zip(words[::2], words[1::2], strict=True):
                if key.decode() in found:
                    found[key.decode()].append(json.loads(decompress_payload(text))["status"])
    return found


def append_only_file(data_dir: Path) -> Path | None:
    """Where a server of ours appends to; None before its first write. Redis 6.2 has no directory for it."""
    return next(chain((data_dir / "appendonlydir").glob("*.incr.aof"), data_dir.glob("appendonly.aof")), None)


def _commands(stream: BinaryIO) -> Iterator[list[bytes]]:
    """The commands in an append-only file; a command cut off at its end is left out."""
    while line := stream.readline():
        if not line.startswith(b"*"):
            continue  # an annotation, such as the time
        command = []
        for _ in range(int(line[1:])):
            header = stream.readline()
            if not header.endswith(b"\n"):
                return
            command.append(stream.read(int(header[1:])))
            stream.readline()
        yield command

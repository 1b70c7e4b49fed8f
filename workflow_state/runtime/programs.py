"""Compiled programs that a worker process keeps: read once, bounded, least recently used goes first.

An id may be used again, with another plan, once the execution that had it is deleted or has expired. When an
execution was created tells the two apart.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from workflow_state.program import Program
from workflow_state.store.reader import Reader

#: A program, and when its execution was created, as it is stored.
Kept = tuple[Program, str]
#: Characters of a program's text that count as one action more: its inputs may be long.
TEXT_OF_ONE = 1000


class ProgramCache:
    """``limit`` is counted in actions, and in what their inputs hold: that is what a program's size grows with."""

    def __init__(self, store: Reader, limit: int) -> None:
        self._store = store
        self._limit = limit
        self._size = 0
        self._programs: OrderedDict[str, tuple[Kept, int]] = OrderedDict()
        self._lock = threading.Lock()

    def forget(self, execution_id: str) -> None:
        """Drop the program of an execution that is gone."""
        with self._lock:
            self._drop(execution_id)

    def keep(self, execution_id: str, program: Program, created: str, length: int) -> None:
        """Take in the program of an execution that this process has just stored; ``length``: of its text."""
        size = len(program.steps) + length // TEXT_OF_ONE
        with self._lock:
            self._drop(execution_id)
            self._programs[execution_id] = (program, created), size
            self._size += size
            while self._size > self._limit and len(self._programs) > 1:
                self._drop(next(iter(self._programs)))

    def get(self, execution_id: str, created: str | None = None) -> Program | None:
        """The program of an execution, made sure that it is still that one; None when it is unknown.

        ``created``: when it was created, where that was just read.
        """
        kept = self._kept(execution_id)
        if kept is not None and created is None:
            created = self._store.created(execution_id)
        if kept is None or kept[1] != created:
            kept = self._read(execution_id)
        return kept[0] if kept else None

    def recent(self, execution_id: str, action_ids: Iterable[str] = ()) -> Kept | None:
        """As it was when it was read, and when the execution was created; whoever begins an action is told by the
        store whether that still holds. None when it is unknown.

        It is read anew when one of the actions is not in it: it may be of an execution that had the id before.
        """
        kept = self._kept(execution_id)
        if kept is None or not all(name in kept[0].steps for name in action_ids):
            kept = self._read(execution_id)
        return kept

    def _kept(self, execution_id: str) -> Kept | None:
        with self._lock:
            found = self._programs.get(execution_id)
            if found is None:
                return None
            self._programs.move_to_end(execution_id)
            return found[0]

    def _read(self, execution_id: str) -> Kept | None:
        found = self._store.program_as_created(execution_id)
        if found is None:
            self.forget(execution_id)
            return None
        text, created = found
        program = Program.from_json(text)
        self.keep(execution_id, program, created, len(text))
        return program, created

    def _drop(self, execution_id: str) -> None:
        if (dropped := self._programs.pop(execution_id, None)) is not None:
            self._size -= dropped[1]

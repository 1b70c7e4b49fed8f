"""Compiled programs that a worker process keeps: read once, bounded, least recently used goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict

from workflow_state.program import Program
from workflow_state.store.reader import Reader


class ProgramCache:
    """``limit`` is counted in actions, since that is what a program's size grows with."""

    def __init__(self, store: Reader, limit: int) -> None:
        self._store = store
        self._limit = limit
        self._size = 0
        self._programs: OrderedDict[str, Program] = OrderedDict()
        self._lock = threading.Lock()

    def forget(self, execution_id: str) -> None:
        """Drop the program of an execution that is gone."""
        with self._lock:
            if (dropped := self._programs.pop(execution_id, None)) is not None:
                self._size -= len(dropped.steps)

    def get(self, execution_id: str) -> Program | None:
        """The program of an execution; None when it is unknown."""
        with self._lock:
            found = self._programs.get(execution_id)
            if found is not None:
                self._programs.move_to_end(execution_id)
                return found
        text = self._store.program(execution_id)
        if text is None:
            return None
        program = Program.from_json(text)
        with self._lock:
            if execution_id not in self._programs:
                self._size += len(program.steps)
            self._programs[execution_id] = program
            while self._size > self._limit and len(self._programs) > 1:
                _, dropped = self._programs.popitem(last=False)
                self._size -= len(dropped.steps)
        return program

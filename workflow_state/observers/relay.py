"""From the processes of a worker's pool to its main process, over a pipe.

Actions run in children that come and go, and numbers kept in one are lost with it or have to be collected from
files. So the main process keeps all of them: a child writes one line for each observation, which is atomic up to
``PIPE_BUF`` bytes, and a thread of the main process reads them. A child never waits for long: an observation is worth
less than the work, and what was dropped is counted.
"""

from __future__ import annotations

import json
import os
import select
import threading
from collections.abc import Callable, Sequence
from typing import Final

from workflow_state.telemetry import get_logger

Observation = Sequence[str | float | Sequence[float]]

#: The kind of an observation that says how many others were dropped: ``["dropped", 3]``.
DROPPED: Final = "dropped"
#: Seconds that a child waits for room in the pipe before it drops what it has to say.
PATIENCE: Final = 0.5


class Relay:
    """Carries observations to one receiver, which runs in the process that made the relay.

    Args:
        receive: called with each observation; by one thread at a time for those of other processes.
    """

    def __init__(self, receive: Callable[[Observation], None]) -> None:
        self._receive = receive
        self._pid = os.getpid()
        self._ends: tuple[int, int] | None = None
        self._dropped = 0
        self._log = get_logger()

    def open(self) -> None:
        """Make the pipe; processes that are forked from here on can send."""
        self._ends = os.pipe()
        os.set_blocking(self._ends[1], False)

    def listen(self) -> None:
        """Receive what other processes send, in a thread that ends with this process."""
        threading.Thread(target=self._listen, name="workflow-state-relay", daemon=True).start()

    def send(self, observation: Observation) -> None:
        """Have the receiver called, here or in the process that made the relay."""
        if os.getpid() == self._pid:
            self._receive(observation)
        elif self._ends is not None:
            if self._dropped and self._write([DROPPED, self._dropped], 0):
                self._dropped = 0
            # Where there was no room last time, a wait would only hold up the next action too.
            if not self._write(observation, 0 if self._dropped else PATIENCE):
                self._dropped += 1

    def _write(self, observation: Observation, patience: float) -> bool:
        line = json.dumps(observation, ensure_ascii=False).encode(errors="replace") + b"\n"
        if self._ends is None or len(line) > select.PIPE_BUF:
            return False
        for wait in (patience, 0):
            try:
                os.write(self._ends[1], line)
                return True
            except BlockingIOError:
                select.select([], [self._ends[1]], [], wait)
        return False

    def _listen(self) -> None:
        if self._ends is None:
            return
        rest = b""
        while chunk := os.read(self._ends[0], 65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                try:
                    self._receive(json.loads(line))
                except Exception:  # noqa: BLE001 - logged with its traceback; this thread must not end
                    self._log.exception("observation not understood", line=repr(line))

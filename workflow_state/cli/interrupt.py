"""Ctrl-C that cannot get lost.

Python raises ``KeyboardInterrupt`` wherever the program happens to be, also inside a finaliser or a
callback of the garbage collector, which prints it and goes on. So the handler also notes that it was
asked to end, and whoever loops looks at the note.
"""

from __future__ import annotations

import signal


class Interrupt:
    """Handles SIGINT, and SIGTERM alike, from when it is made."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def check(self) -> None:
        """Raise ``KeyboardInterrupt`` if it was asked for at any time."""
        if self._asked:
            raise KeyboardInterrupt

    def _note(self, *_: object) -> None:
        self._asked = True
        raise KeyboardInterrupt

"""Where one peer is asked: its environment, its program, its own database; all of it anew after a missing answer."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from benchmarks.lab import Lab
from benchmarks.peers import conversation, environment
from benchmarks.peers.catalogue import Peer
from benchmarks.peers.conversation import Conversation, PeerError
from benchmarks.shapes import Graph

#: Seconds for one run; what takes longer is said to.
CAP = 75.0
#: The database of the server that peers use; ours is number 0.
DATABASE = 1


class Desk:
    """A context manager: its program is started by the first question and ended with the block.

    ``versions``: of the peer and what it stands on, once it has been started.
    """

    def __init__(self, lab: Lab, peer: Peer) -> None:
        self._lab, self._peer = lab, peer
        self._stack = ExitStack()
        self._talk: Conversation | None = None
        self.versions: dict[str, str] = {}

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def run(self, graph: Graph) -> tuple[float, str]:
        """The seconds that the peer took, and its note.

        Raises:
            PeerError: it could not, or not within ``CAP``.
            BenchmarkError: its environment could not be made.
        """
        if self._talk is None:
            self._talk = self._start()
            self.versions = self._talk.versions
        try:
            return self._talk.run(graph, CAP)
        except PeerError:
            # It may still be at work on what it was asked: nothing that it says can be trusted any more.
            self._talk = None
            self._stack.close()
            raise

    def _start(self) -> Conversation:
        python = environment.ensure(self._peer)
        # What a peer's processes still write while they end must not make the removal fail.
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        url = self._stack.enter_context(self._lab.database(DATABASE))
        return self._stack.enter_context(conversation.started(self._peer, python, url, Path(folder)))

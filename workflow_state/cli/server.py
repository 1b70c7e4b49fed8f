"""``workflow-state server``: a Redis-compatible server in the foreground, for development."""

from __future__ import annotations

import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import click
import redis
from redis.exceptions import RedisError

from workflow_state.cli.exits import CommandError, Exit
from workflow_state.cli.interrupt import Interrupt
from workflow_state.embedded import EmbeddedServer
from workflow_state.redaction import hide_password, url_problem

#: Where the durable settings look when REDIS_URL names nothing.
DEFAULT_URL = "redis://localhost:6379/0"
LOCAL = ("localhost", "127.0.0.1", "::1")
#: Seconds between two looks whether the server still lives.
LOOK = 0.2
#: Seconds in which a server has to answer to count as being there.
ANSWER = 1.0


@click.command("server", short_help="Run a server for development.")
@click.option("--port", type=click.IntRange(1, 65_535), help="By default that of REDIS_URL, or else 6379.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Keep what is stored there; by default it is gone when the server ends.",
)
def server_command(port: int | None, data: Path | None) -> None:
    """Run a Redis-compatible server until Ctrl-C, for development: on 127.0.0.1, without a password.

    It is redis-server or valkey-server from PATH, or else the one that the extra workflow-state[embedded] brings.

    Exit code: 0 after Ctrl-C, 4 when none can be started, 5 when one answers there already.
    """
    port = port or _port()
    if answers(url := f"redis://127.0.0.1:{port}"):
        raise CommandError(f"A server answers at {url} already; nothing was started", Exit.REFUSED)
    interrupt = Interrupt()
    server = EmbeddedServer(port=port, data_dir=data)
    try:
        with server:
            kept = f"keeps its data in {data}" if data else "keeps nothing when it ends"
            click.echo(f"server: {server.url}, {kept}; Ctrl-C ends it")
            while server.running:
                interrupt.check()
                time.sleep(LOOK)
    except KeyboardInterrupt:
        return
    raise CommandError("The server has ended by itself", Exit.AWAY)


def _port() -> int:
    """Of the server that the settings will look for, which has to be on this machine."""
    url = server_url()
    try:
        found = urlsplit(url)
        port = found.port or 6379
    except ValueError as error:
        raise CommandError(wrong_url(url, error), Exit.BAD_INPUT) from error
    if found.hostname not in LOCAL:
        where = f"on {found.hostname}" if found.hostname else f"at {hide_password(url)}"
        message = f"REDIS_URL names a server {where}, which cannot be started here; --port starts one here"
        raise CommandError(message, Exit.BAD_INPUT)
    return port


def wrong_url(url: str, error: Exception) -> str:
    """What to say of a REDIS_URL that cannot be used."""
    why = " ".join(url_problem(url, error).split())
    return f"REDIS_URL is {hide_password(url)!r}; expected an address such as {DEFAULT_URL}: {why}"


def server_url() -> str:
    """Where the durable settings look for the server."""
    return os.environ.get("REDIS_URL") or DEFAULT_URL


def answers(url: str) -> bool:
    """Whether a server lets us in there; not, when the address is none."""
    try:
        with redis.Redis.from_url(url, socket_timeout=ANSWER, socket_connect_timeout=ANSWER) as client:
            return bool(client.ping())
    except (RedisError, ValueError):
        return False

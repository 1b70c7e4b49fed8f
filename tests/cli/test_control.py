"""``status``, ``confirm``, ``cancel``, ``pause``, ``resume``, ``rerun``: against executions on a real worker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.cli.commands import CommandLine
from tests.support import wait_until
from tests.workers import Site, action, plan
from workflow_state import ExecutionState

ONCE = {"max_attempts": 1}


def asking(cli: CommandLine) -> str:
    """An execution that waits for a person; its id."""
    pay = action("pay", user_confirmation={"title": "Pay?"})
    execution_id = cli.manager.initialize_state(plan(pay, action("mail", "test.echo", "pay"))).id
    wait_until(lambda: cli.manager.get_full_state(execution_id).confirmations, 20, "it is asked")
    return execution_id


def failed(cli: CommandLine) -> ExecutionState:
    """An execution that failed, as an input was wrong."""
    add = action("add", "test.add", "first", inputs={"a": "not a number", "b": 2}, retry=ONCE)
    wanted = plan(action("first"), add, action("after", "test.value", "add", inputs={"value": "${add.output}"}))
    return cli.manager.wait(cli.manager.initialize_state(wanted).id, 20)


def test_a_confirmation_is_given_in_a_terminal(cli: CommandLine) -> None:
    """The status says what to type; typed, the action runs, and who answered is on record."""
    execution_id = asking(cli)
    assert cli.hint("confirm", execution_id, "pay", "--yes") in cli.shown("status", execution_id)
    assert "pay is confirmed" in cli.shown("confirm", execution_id, "pay", "--yes", "--user", "ada")
    state = cli.manager.wait(execution_id, 20)
    assert state.status == "completed"
    assert [(asked.confirmed, asked.user_id) for asked in state.confirmations] == [(True, "ada")]


def test_a_confirmation_is_refused_by_a_script(cli: CommandLine) -> None:
    """--no cancels the execution; the same answer again is no error, the other one is, with code 5."""
    execution_id = asking(cli)
    answer = cli.json("confirm", execution_id, "pay", "--no", "--user", "bot")
    assert answer == {"execution_id": execution_id, "action_id": "pay", "confirmed": False, "user_id": "bot"}
    assert cli.manager.wait(execution_id, 20).status == "cancelled"
    assert "was rejected before" in cli.refused("confirm", execution_id, "pay", "--yes", code=5)


def test_pause_resume_and_cancel(cli: CommandLine) -> None:
    """A paused run starts nothing until it is resumed; a cancelled one ends; one that has ended refuses (code 5)."""
    gate = uuid.uuid4().hex
    gated = action("a", "test.gate", inputs={"name": gate})
    execution_id = cli.manager.initialize_state(plan(gated, action("b", "test.gate", "a", inputs={"name": gate}))).id
    cli.site.wait_started(gate)
    assert f"execution {execution_id} is paused" in cli.shown("pause", execution_id)
    cli.site.open_gate(gate)
    wait_until(lambda: cli.manager.get_full_state(execution_id).action_states["a"].status == "completed", 20)
    paused = cli.piped("status", execution_id).stdout
    assert "paused for" in paused
    assert cli.hint("resume", execution_id) in paused
    assert cli.json("resume", execution_id) == {"execution_id": execution_id, "changed": "resumed"}
    cli.site.wait_started(gate, 2)
    assert f"execution {execution_id} is resumed" in cli.shown("resume", execution_id), "again: the same"
    assert "is cancelled" in cli.shown("cancel", execution_id, "--reason", "no stock")
    assert cli.json("cancel", execution_id)["changed"] == "cancelled", "twice is the same as once"
    cli.site.open_gate(gate)
    state = cli.manager.wait(execution_id, 20)
    assert state.status == "cancelled"
    assert state.error is not None
    assert state.error.message == "no stock"
    assert "has ended before: it is cancelled" in cli.refused("pause", execution_id, code=5)


def test_a_failed_run_goes_on_by_the_command_that_status_gives(cli: CommandLine) -> None:
    """What `status` prints can be typed as it is; with another input for the action to blame, the run completes."""
    old = failed(cli)
    shown = cli.shown("status", old.id)
    assert "add failed in attempt 1 of 1" in shown
    assert "blocked 1 action, never run: after" in shown
    command = cli.hint("rerun", old.id, "--from", "add")
    assert command in shown

    document = cli.json("rerun", old.id, "--from", "add", "--input", "add", "a=5", "--wait")
    assert document["status"] == "completed"
    assert document["rerun_of"] == old.id
    assert document["action_states"]["after"]["result"]["output"] == 7, "b was kept from the plan"
    assert document["action_states"]["first"]["attempts"] == 0, "taken over, not run again"


def test_rerun_with_a_result_or_without_an_action(cli: CommandLine) -> None:
    """--result stands for running the action, --skip leaves it out; in a terminal it can be watched."""
    old = failed(cli)
    shown = cli.shown("rerun", old.id, "--result", "add", "8", "--watch")
    assert f"a rerun of {old.id}" in shown
    assert "3 of 3 actions completed" in shown
    new = cli.piped("rerun", old.id, "--skip", "add").stdout.strip()
    state = cli.manager.wait(new, 20)
    assert [state.action_states[name].status for name in ("first", "add", "after")] == [
        "completed",
        "skipped",
        "skipped",
    ]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["status", "nope"], 3, "No execution 'nope' is stored"),
        (["confirm", "ID", "nope", "--yes"], 3, "has no action 'nope'; its actions are: 'pay', 'mail'"),
        (["confirm", "ID", "mail", "--yes"], 5, "does not wait for a confirmation"),
        (["confirm", "ID", "pay"], 2, "say --yes"),
        (["rerun", "ID"], 5, "only one that has ended can be run again"),
        (["rerun", "ID", "--input", "pay", "5"], 2, "'5' for 'pay' is not NAME=VALUE"),
        (["status", "\udcff"], 2, "has bytes that are no text in UTF-8"),
        (["confirm", "ID", "pay", "--yes", "--user", "\udcff"], 2, "'\\udcff' has bytes that are no text in UTF-8"),
        (["cancel", "ID", "--reason", "\udcff"], 2, "'\\udcff' has bytes that are no text in UTF-8"),
        (["rerun", "ID", "--input", "nope", "a=5"], 3, "has no action 'nope'"),
        (["rerun", "ID", "--input", "pay", f"a={'[' * 50_000}"], 2, "nests too deep to be read as JSON"),
        (["rerun", "ID", "--result", "pay", "[" * 50_000], 2, "nests too deep to be read as JSON"),
    ],
)
def test_what_is_refused_says_why(cli: CommandLine, waits: str, words: list[str], code: int, message: str) -> None:
    """One message with the ids, and a code: 2 for bad input, 3 for what is not there, 5 for what is not possible."""
    assert message in cli.refused(*(waits if word == "ID" else word for word in words), code=code)


@pytest.fixture(scope="module")
def waits(own_site: Site) -> Iterator[str]:
    """One execution that waits for a person, for all that is refused; rejected in the end."""
    with own_site.current():
        cli = CommandLine(own_site)
        execution_id = asking(cli)
    yield execution_id
    cli.manager.cancel_execution(execution_id)

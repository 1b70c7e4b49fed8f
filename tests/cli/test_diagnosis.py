"""Where a run stopped, why, what that blocked, and how it goes on: from real states, without any process."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tests.workers import action, plan
from workflow_state import ActionContext, ActionError, compile_plan, validate_execution_plan
from workflow_state.cli.diagnosis import Diagnosis, diagnose, silent_queues
from workflow_state.cli.session import Session
from workflow_state.cli.status import show_status, status_document
from workflow_state.models import ActionStatus, ConfirmationState, ExecutionState, ExecutionStatus
from workflow_state.program import Program
from workflow_state.testing import run_plan

SESSION = Session(target="my_app", typed=True)
ONCE = {"max_attempts": 1}


def refuse(context: ActionContext, message: str = "card expired") -> None:
    text = "busy" if context.attempt == 1 else message
    raise ActionError(text, category="auth_expired", status_code=402, suggestion="ask for another card")


def ended(wanted: dict[str, Any], **more: Any) -> tuple[ExecutionState, Program]:
    """Run a plan in process; its state and its program."""
    fakes = {"test.echo": lambda **values: values, "test.fail": refuse}
    program = compile_plan(validate_execution_plan(wanted))
    return run_plan(wanted, fakes, execution_id="order-1", **more), program


def diagnosed(wanted: dict[str, Any], **more: Any) -> Diagnosis:
    return diagnose(*ended(wanted, **more))


def printed(state: ExecutionState, program: Program, width: int = 140) -> str:
    out = io.StringIO()
    show_status(Console(file=out, width=width, highlight=False), SESSION, state, program)
    return out.getvalue()


ORDER = plan(
    action("check"),
    action("charge", "test.fail", "check", retry={"max_attempts": 2}),
    action("log", "test.fail", "check", retry=ONCE, error_handling={"continue_on_failure": True}),
    action("mail", "test.echo", "charge"),
    action("archive", "test.echo", "mail"),
    action("count", "test.echo", "log"),
    name="order",
)


def test_one_look_at_a_failed_run_is_enough() -> None:
    """The action, the attempt, the error, its suggestion, what it blocked, and the exact command to go on."""
    shown = printed(*ended(ORDER))
    after_table = shown[shown.rindex("└") :].splitlines()[1:]
    assert after_table[0].startswith("failed after ")
    assert "1 of 6 actions completed, 2 failed, 3 skipped" in after_table[0]
    assert after_table[1:] == [
        "",
        "charge failed in attempt 2 of 2 on in-process",
        "  card expired  [auth_expired, status 402]",
        "  suggestion: ask for another card",
        "  attempt 1 failed: busy",
        "  blocked 2 actions, never run: mail, archive",
        "",
        "log failed in attempt 1 of 1 on in-process",
        "  busy  [auth_expired, status 402]",
        "  suggestion: ask for another card",
        "  tolerated: the plan continues on its failure",
        "Never started besides: count",
        "",
        "Go on with:",
        "  workflow-state -A my_app rerun order-1 --from charge",
    ]


def test_the_same_for_programs() -> None:
    """The state's own JSON with ``diagnosis`` beside it; commands as they are typed."""
    state, program = ended(ORDER)
    document = status_document(SESSION, state, program)
    assert {name: document[name] for name in state.to_json_dict()} == state.to_json_dict()
    diagnosis: Any = document["diagnosis"]
    assert [(cause["action_id"], cause["blocked"]) for cause in diagnosis["causes"]] == [
        ("charge", ["mail", "archive"]),
        ("log", []),
    ]
    assert diagnosis["causes"][0]["error"]["message"] == "card expired"
    assert diagnosis["not_started"] == ["count"]
    assert diagnosis["next"] == ["workflow-state -A my_app rerun order-1 --from charge"]


def test_two_failures_are_gone_on_with_at_once() -> None:
    """Where two actions are to blame, the command reruns whatever did not complete."""
    both = plan(action("a", "test.fail", retry=ONCE), action("b"), action("c", "test.echo", "a"))
    state, program = ended(both)
    # On workers both run at once; the one that fails second has begun before the first halted the execution.
    failed = state.action_states["a"].model_copy(update={"action_id": "b"})
    found = diagnose(state.model_copy(update={"action_states": {**state.action_states, "b": failed}}), program)
    assert [(cause.action_id, cause.blocked) for cause in found.causes] == [("a", ("c",)), ("b", ())]
    assert found.next == (("rerun", "order-1"),)


def test_an_alternative_that_stood_in_is_said() -> None:
    """A failure that an alternative made good is tolerated by it, and the run is no failure."""
    found = diagnosed(
        plan(
            action("charge", "test.fail", retry=ONCE, error_handling={"alternative_action_id": "invoice"}),
            action("invoice"),
        )
    )
    assert [cause.tolerated for cause in found.causes] == ["its alternative invoice is completed"]
    assert found.next == ()


def test_an_outcome_that_is_not_met_names_whose_it_is() -> None:
    """Nothing failed but the expected outcome: its message is shown, and its action is where to go on."""
    check = {"name": "paid", "reference": "${charge.output.id}", "operator": "exists"}
    state, program = ended(plan(action("charge"), action("mail"), expected_outcome={"validations": [check]}))
    assert diagnose(state, program).next == (("rerun", "order-1", "--from", "charge"),)
    assert "The expected outcome is not met: " in printed(state, program)


def test_a_rejected_confirmation_can_be_asked_again() -> None:
    """A cancelled run goes on by a rerun, and what never started is listed."""
    state, program = ended(
        plan(action("pay", user_confirmation={"title": "Pay?"}), action("mail", "test.echo", "pay")),
        confirm=lambda _: False,
    )
    found = diagnose(state, program)
    assert state.status is ExecutionStatus.CANCELLED
    assert found.next == (("rerun", "order-1"),)
    assert set(found.not_started) == {"pay", "mail"}
    assert "The confirmation of action 'pay' was rejected" in printed(state, program)


def test_a_run_that_waits_says_for_whom() -> None:
    """The commands that answer are printed; those of a paused one begin with `resume`."""
    state, program = ended(plan(action("pay", user_confirmation={"title": "Pay?"})))
    waiting = state.action_states["pay"].model_copy(update={"status": ActionStatus.PENDING, "result": None})
    asked = ConfirmationState(action_id="pay", requested_at=state.started_at)
    state = state.model_copy(
        update={
            "status": ExecutionStatus.PAUSED_FOR_CONFIRMATION,
            "completed_at": None,
            "action_states": {"pay": waiting},
            "confirmations": (asked,),
        }
    )
    shown = printed(state, program)
    assert "It waits for a person. Answer with:" in shown
    assert "  workflow-state -A my_app confirm order-1 pay --yes\n" in shown
    paused = diagnose(state.model_copy(update={"paused": True}), program)
    assert paused.next[0] == ("resume", "order-1")


@pytest.mark.parametrize("width", [40, 80])
def test_commands_are_never_wrapped(width: int) -> None:
    """However narrow the terminal, a command stays on one line, so that it can be copied."""
    assert "  workflow-state -A my_app rerun order-1 --from charge\n" in printed(*ended(ORDER), width=width)


def test_a_large_run_shows_what_stands_out() -> None:
    """Of thousands of actions the table shows those that did not just complete."""
    wide = [action(f"a{number}") for number in range(500)]
    shown = printed(*ended(plan(*wide, action("bad", "test.fail", retry=ONCE))))
    assert "│ bad" in shown
    assert "│ a7 " not in shown
    assert "and 500 actions completed, or not begun yet" in shown
    assert printed(*ended(plan(*wide))).startswith("plan, execution order-1\nand 500 actions completed")


def test_text_from_outside_cannot_steer_the_terminal() -> None:
    """Errors come from anywhere; control characters in them are shown, not obeyed."""
    hostile = action("a", "test.fail", retry={"max_attempts": 2}, inputs={"message": "\x1b]0;owned\x07[red]x[/red]\ny"})
    shown = printed(*ended(plan(hostile)))
    assert "\x1b" not in shown
    assert "[red]x[/red] y" in shown


QUEUED = plan(
    action("a"),
    action("b", queue="slow"),
    action("c", queue="slow"),
    action("d", "test.echo", "a", queue="late"),
    name="queued",
)


def standing(wanted: dict[str, Any], **statuses: ActionStatus) -> tuple[ExecutionState, Program]:
    """The state of a plan that runs, with actions as given, else pending."""
    state, program = ended(wanted)
    states = {
        name: done.model_copy(
            update={
                "status": statuses.get(name, ActionStatus.PENDING),
                "attempts": int(name in statuses),
                "result": None,
                "trace": (),
            }
        )
        for name, done in state.action_states.items()
    }
    return state.model_copy(update={"status": ExecutionStatus.RUNNING, "action_states": states}), program


def test_what_waits_in_a_queue_that_nobody_takes_from_is_named() -> None:
    """A queue of the plan that nothing was taken from is said, with who waits there, and how a worker is started."""
    shown = printed(*standing(QUEUED, a=ActionStatus.COMPLETED))
    assert (
        "Nothing is taken from the queue slow, which has b, c: no worker listens to it, or all are busy; "
        "`celery -A my_app worker --queues slow` starts one" in " ".join(shown.split())
    )
    assert "queue late" not in shown


@pytest.mark.parametrize(
    ("schedule", "statuses", "queues"),
    [
        ("levels", {}, {"slow": ["b", "c"]}),
        ("levels", {"b": ActionStatus.RUNNING}, {}),
        ("levels", {"a": ActionStatus.FAILED}, {}),
        ("levels", dict.fromkeys("abc", ActionStatus.COMPLETED), {"late": ["d"]}),
        ("dataflow", {"a": ActionStatus.COMPLETED}, {"slow": ["b", "c"], "late": ["d"]}),
        ("dataflow", {"b": ActionStatus.COMPLETED}, {}),
    ],
)
def test_only_those_whose_turn_has_come_wait_in_a_queue(
    schedule: str, statuses: dict[str, ActionStatus], queues: dict[str, list[str]]
) -> None:
    """Not those of a later level, nor behind a failure, nor in a queue that somebody has taken from: its workers are
    busy."""
    assert silent_queues(*standing({**QUEUED, "schedule": schedule}, **statuses)) == queues

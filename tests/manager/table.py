"""Every method of the state manager: where it is called, how, and what it must then give and do.

The tests call each method once, with an unknown id, where it is not legal, eight times at the same moment, and after
a restart of server and worker. ``number`` is that of the caller, 0 to 7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.integration.outcomes import TIMEOUT, output
from tests.manager import situations as at
from tests.manager.situations import PLAN, Scene
from tests.workers import Site
from workflow_state import ActionNotFoundError, ExecutionNotFoundError, InvalidTransitionError, Success

Call = Callable[[Scene, int], Any]
Answers = list[Any]
"""What eight callers got: a value or an error each, in the order of their numbers."""


@dataclass(frozen=True)
class Illegal:
    """A call that is refused and changes nothing: with an error, or by saying so."""

    where: Callable[[Site], Scene]
    call: Call
    error: type[Exception] | None = None
    match: str = ""
    answer: Any = None


@dataclass(frozen=True)
class Method:
    """``check`` holds after one legal call and its answer; ``all_together`` after eight and theirs."""

    where: Callable[[Site], Scene]
    call: Call
    check: Callable[[Scene, Any], None]
    all_together: Callable[[Scene, Answers], None]
    illegal: Illegal
    unknown: type[Exception] | None = ExecutionNotFoundError


def winners(answers: Answers) -> list[int]:
    """Who got an answer; every other one was told that the change is not legal any more."""
    lost = [answer for answer in answers if isinstance(answer, Exception)]
    assert all(isinstance(error, InvalidTransitionError) for error in lost), lost
    return [number for number, answer in enumerate(answers) if not isinstance(answer, Exception)]


def all_alike(_: Scene, answers: Answers) -> None:
    assert not any(isinstance(answer, Exception) for answer in answers), answers
    assert all(answer == answers[0] for answer in answers)


def events(scene: Scene, kind: str) -> int:
    """How often something has happened."""
    return sum(event.type == kind for event in scene.manager.history(scene.id))


# initialize_state ------------------------------------------------------------------------------------------------


def initialize(scene: Scene, number: int) -> Any:
    """Each caller has a plan of its own, under the same execution id."""
    return scene.manager.initialize_state({**PLAN, "id": f"p{number}"}, start=False, execution_id=scene.id)


def check_initialized(scene: Scene, answer: Any) -> None:
    assert answer == scene.state()
    assert (answer.id, answer.status, answer.plan_id) == (scene.id, "initializing", "p0")
    assert scene.statuses() == {"a": "pending", "b": "pending"}


def all_initialized(scene: Scene, answers: Answers) -> None:
    """One plan is stored, once; everybody is given that one."""
    all_alike(scene, answers)
    listed = [found for found in scene.manager.list_executions(limit=100).items if found.id == scene.id]
    assert [found.plan_id for found in listed] == [answers[0].plan_id]


# changes by hand -------------------------------------------------------------------------------------------------


def start_a(scene: Scene, number: int) -> Any:
    return scene.manager.update_action_status(scene.id, "a", "running")


def check_started(scene: Scene, answer: Any) -> None:
    assert answer is None
    assert scene.statuses() == {"a": "running", "b": "pending"}


def all_started(scene: Scene, answers: Answers) -> None:
    assert len(winners(answers)) == 1
    assert scene.state().action_states["a"].attempts == events(scene, "action.execute.requested") == 1


def record_a(scene: Scene, number: int) -> Any:
    return scene.manager.record_action_result(scene.id, "a", number)


def check_recorded(scene: Scene, answer: Any) -> None:
    assert answer is None
    assert output(scene.state(), "a") == 0
    assert scene.manager.get_available_actions(scene.id) == ["b"]


def all_recorded(scene: Scene, answers: Answers) -> None:
    """The result that is stored is the one of the caller who was told so."""
    (winner,) = winners(answers)
    assert output(scene.state(), "a") == winner
    assert scene.manager.get_action_result(scene.id, "a") == Success(output=winner)
    assert events(scene, "action.execute.completed") == 1


# reading ---------------------------------------------------------------------------------------------------------


def listed(scene: Scene, number: int) -> Any:
    """The summary of this execution, from the pages of all."""
    page = scene.manager.list_executions(name="contract", limit=100)
    return next((found for found in page.items if found.id == scene.id), None)


def check_listed(scene: Scene, answer: Any) -> None:
    state, times = scene.state(), (answer.started_at, answer.completed_at)
    assert (answer.status, times) == ("completed", (state.started_at, state.completed_at))
    assert (answer.total_actions, answer.completed_actions) == (2, 2)


def check_state(scene: Scene, answer: Any) -> None:
    assert (answer.status, output(answer, "a"), output(answer, "b")) == ("completed", 1, 2)


def check_states(scene: Scene, answer: Any) -> None:
    assert answer == list(scene.state().action_states.values())


def check_report(scene: Scene, answer: Any) -> None:
    assert answer.lower().startswith("<!doctype html>")
    assert scene.id in answer


def check_history(scene: Scene, answer: Any) -> None:
    steps = [("action.execute.requested", "action.execute.completed")] * 2
    kinds = ["plan.execution.started", *(kind for step in steps for kind in step), "plan.execution.completed"]
    assert [event.type for event in answer] == kinds
    assert [event.sequence for event in answer] == [1, 2, 3, 4, 5, 6]


def check_watched(scene: Scene, answer: Any) -> None:
    assert answer == scene.manager.history(scene.id)
    assert answer[-1].type == "plan.execution.completed"


def check_waited(scene: Scene, answer: Any) -> None:
    assert answer == scene.state()
    assert answer.status == "completed"


# control ---------------------------------------------------------------------------------------------------------


def check_deleted(scene: Scene, answer: Any) -> None:
    assert answer is True
    assert not [key for key in scene.site.all_keys() if scene.id in key]
    assert listed(scene, 0) is None


def all_deleted(scene: Scene, answers: Answers) -> None:
    """It is gone, and everybody knows it: who came later is told that it is not there."""
    assert True in answers
    assert all(answer is True or isinstance(answer, ExecutionNotFoundError) for answer in answers)
    check_deleted(scene, True)


def check_paused(scene: Scene, answer: Any) -> None:
    assert answer is True
    assert scene.state().paused
    assert events(scene, "plan.execution.paused") == 1
    assert scene.statuses()["b"] == "pending"


def check_resumed(scene: Scene, answer: Any) -> None:
    assert answer is True
    assert scene.ended().status == "completed"
    assert events(scene, "plan.execution.resumed") == 1
    assert scene.site.runs(scene.id)["b"] == 1


def check_resumed_together(scene: Scene, answers: Answers) -> None:
    """What the first one resumes is short: who asks last may hear that it has ended."""
    assert set(answers) <= {True, False}
    check_resumed(scene, any(answers))


def check_cancelled(scene: Scene, answer: Any) -> None:
    assert answer is True
    scene.let_through()
    state = scene.ended()
    assert (state.status, state.action_states["b"].status) == ("cancelled", "skipped")
    assert state.error is not None
    assert state.error.message in [f"no {number}" for number in range(8)]
    assert events(scene, "plan.execution.cancelling") == 1


def confirm_b(scene: Scene, number: int) -> Any:
    """Half of the callers agree, half do not."""
    return scene.manager.confirm_action(scene.id, "b", number % 2 == 0, f"user {number}")


def check_confirmed(scene: Scene, answer: Any) -> None:
    assert answer is None
    state = scene.ended()
    assert (state.status, state.confirmations[0].user_id) == ("completed", "user 0")
    assert scene.site.runs(scene.id) == {"a": 1, "b": 1}


def all_confirmed(scene: Scene, answers: Answers) -> None:
    """One answer counts: those who gave the same are content, the others are told."""
    state, won = scene.ended(), winners(answers)
    confirmed = state.confirmations[0].confirmed
    assert won == ([0, 2, 4, 6] if confirmed else [1, 3, 5, 7])
    assert state.status == ("completed" if confirmed else "cancelled")
    assert events(scene, "user.confirmation.received") == 1
    assert scene.site.runs(scene.id) == ({"a": 1, "b": 1} if confirmed else {"a": 1})


def rerun(scene: Scene, number: int) -> Any:
    return scene.manager.rerun(scene.id, results={"b": number}).id


def check_rerun(scene: Scene, answer: Any, number: int = 0) -> None:
    state = scene.manager.wait(answer, TIMEOUT)
    assert (state.status, state.rerun_of, output(state, "b")) == ("completed", scene.id, number)
    assert scene.site.runs(answer) == {"c": 1}


def all_rerun(scene: Scene, answers: Answers) -> None:
    """Each caller has an execution of its own, with the results that it gave."""
    assert len(set(answers)) == 8
    for number, answer in enumerate(answers):
        check_rerun(scene, answer, number)


def check_equal(wanted: Any) -> Callable[[Scene, Any], None]:
    def check(scene: Scene, answer: Any) -> None:
        assert answer == wanted

    return check


def each(check: Callable[[Scene, Any], None]) -> Callable[[Scene, Answers], None]:
    """What holds after one call holds after all of them, with the answer of each."""

    def check_each(scene: Scene, answers: Answers) -> None:
        for answer in answers:
            check(scene, answer)

    return check_each


def over(call: Call) -> Illegal:
    """Once the execution has ended, there is nothing to change: False."""
    return Illegal(at.done, call, answer=False)


def pause(scene: Scene, number: int) -> Any:
    return scene.manager.pause_execution(scene.id)


def resume(scene: Scene, number: int) -> Any:
    return scene.manager.resume_execution(scene.id)


def cancel(scene: Scene, number: int) -> Any:
    return scene.manager.cancel_execution(scene.id, f"no {number}")


def available(scene: Scene, number: int) -> Any:
    return scene.manager.get_available_actions(scene.id)


def result_of_a(scene: Scene, number: int) -> Any:
    return scene.manager.get_action_result(scene.id, "a")


METHODS: dict[str, Method] = {
    "initialize_state": Method(
        *(at.nowhere, initialize, check_initialized, all_initialized),
        # What is there already is given back as it stands.
        Illegal(at.begun, lambda s, n: initialize(s, n).action_states["a"].status.value, answer="running"),
        unknown=None,
    ),
    "update_action_status": Method(
        *(at.stored, start_a, check_started, all_started),
        Illegal(at.half_done, start_a, InvalidTransitionError, "is completed and cannot become running"),
    ),
    "record_action_result": Method(
        *(at.begun, record_a, check_recorded, all_recorded),
        Illegal(at.stored, record_a, InvalidTransitionError, "is pending and cannot become completed"),
    ),
    "get_available_actions": Method(
        *(at.half_done, available, check_equal(["b"]), all_alike),
        Illegal(at.done, available, answer=[]),
    ),
    "get_action_result": Method(
        *(at.half_done, result_of_a, check_equal(Success(output=1)), all_alike),
        Illegal(at.begun, lambda s, _: s.manager.get_action_result(s.id, "z"), ActionNotFoundError, "no action 'z'"),
    ),
    "get_full_state": Method(
        *(at.done, lambda s, _: s.manager.get_full_state(s.id), check_state, all_alike),
        Illegal(at.done, lambda s, _: s.manager.get_full_state(""), ExecutionNotFoundError, "No execution ''"),
    ),
    "iter_action_states": Method(
        *(at.done, lambda s, _: list(s.manager.iter_action_states(s.id, page=1)), check_states, all_alike),
        Illegal(at.done, lambda s, _: s.manager.iter_action_states(s.id, page=0), ValueError, "expected 1 to 1000"),
    ),
    "report": Method(
        *(at.done, lambda s, _: s.manager.report(s.id), check_report, all_alike),
        Illegal(at.done, lambda s, _: s.manager.report(""), ExecutionNotFoundError, "No execution ''"),
    ),
    "list_executions": Method(
        *(at.done, listed, check_listed, all_alike),
        Illegal(at.done, lambda s, _: s.manager.list_executions(limit=0), ValueError, "expected 1 to 1000"),
        unknown=None,
    ),
    "history": Method(
        *(at.done, lambda s, _: s.manager.history(s.id), check_history, all_alike),
        Illegal(at.done, lambda s, _: s.manager.history(s.id, after=99), answer=[]),
    ),
    "watch": Method(
        *(at.let_go, lambda s, _: list(s.manager.watch(s.id)), check_watched, all_alike),
        Illegal(at.done, lambda s, _: list(s.manager.watch(s.id, after=6)), answer=[]),
    ),
    "wait": Method(
        *(at.let_go, lambda s, _: s.manager.wait(s.id, TIMEOUT), check_waited, all_alike),
        Illegal(at.gated, lambda s, _: s.manager.wait(s.id, 0.1), TimeoutError, "has not ended within 0.1 s"),
    ),
    "delete": Method(
        *(at.done, lambda s, _: s.manager.delete(s.id), check_deleted, all_deleted),
        Illegal(at.begun, lambda s, _: s.manager.delete(s.id), InvalidTransitionError, "cancel it first"),
    ),
    "pause_execution": Method(at.gated, pause, check_paused, each(check_paused), over(pause)),
    "resume_execution": Method(at.paused, resume, check_resumed, check_resumed_together, over(resume)),
    "cancel_execution": Method(at.gated, cancel, check_cancelled, each(check_cancelled), over(cancel)),
    "confirm_action": Method(
        *(at.asking, confirm_b, check_confirmed, all_confirmed),
        Illegal(at.asking, lambda s, _: s.manager.confirm_action(s.id, "a", True), InvalidTransitionError, "not wait"),
    ),
    "rerun": Method(
        *(at.broken, rerun, check_rerun, all_rerun),
        Illegal(at.gated, rerun, InvalidTransitionError, "only one that has ended"),
    ),
}

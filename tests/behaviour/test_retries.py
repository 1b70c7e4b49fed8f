"""1.4 "Retries" and "Timeouts": how often an action is tried, how long it may take, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.behaviour import app
from tests.behaviour.endings import ONCE, QUICK, Endings
from tests.workers import Site, action, plan
from workflow_state import Attempt, ErrorCategory

TIGHT = {"timeout": 200}

PLANS = {
    "default": plan(action("a", "test.flaky", inputs={"times": 9})),
    "in time": plan(action("a", "test.flaky", inputs={"times": 2, "value": "ok"}, retry=QUICK)),
    "one attempt": plan(action("a", "test.flaky", inputs={"times": 1}, retry=ONCE)),
    "growing": plan(
        action(
            "a",
            "test.flaky",
            inputs={"times": 9},
            retry={
                "max_attempts": 4,
                "factor": 3,
                "min_timeout_in_ms": 100,
                "max_timeout_in_ms": 400,
                "randomize": False,
            },
        )
    ),
    "final": plan(action("a", "test.fail", inputs={"retryable": False}, retry=QUICK)),
    "bad inputs": plan(action("a", "test.add", inputs={"a": "seven"}, retry=QUICK)),
    "bad output": plan(action("a", "test.wrong_output", retry=QUICK)),
    "named category": plan(
        action(
            "a",
            "test.fail",
            inputs={"category": "rate_limit_burst"},
            retry={**QUICK, "categories": ["rate_limit_burst"]},
        )
    ),
    "other category": plan(action("a", "test.fail", retry={**QUICK, "categories": ["rate_limit_burst"]})),
    "retry after": plan(action("a", "behave.limited", inputs={"seconds": 0.8}, retry=QUICK)),
    "timeout": plan(action("a", "behave.sleep", inputs={"seconds": 30}, retry={**QUICK, "max_attempts": 2}, **TIGHT)),
    "async timeout": plan(action("a", "behave.async_sleep", inputs={"seconds": 30}, retry=ONCE, **TIGHT)),
    "slow at first": plan(action("a", "behave.slow_at_first", retry=QUICK, **TIGHT)),
    "timeout not retried": plan(
        action("a", "behave.sleep", inputs={"seconds": 30}, retry={**QUICK, "categories": ["auth_expired"]}, **TIGHT)
    ),
    "timeout, fallback": plan(
        action(
            "a", "behave.sleep", inputs={"seconds": 30}, retry=ONCE, error_handling={"fallback_value": "late"}, **TIGHT
        ),
        action("b", "test.value", "a", inputs={"value": "${a.output}"}),
    ),
    "deaf at first": plan(
        action("a", "behave.deaf_at_first", retry=QUICK, **TIGHT),
        action("b", "test.value", "a", inputs={"value": "${a.output}"}),
    ),
    "no timeout": plan(action("a", "behave.sleep", inputs={"seconds": 0.3})),
    **{
        f"raise {kind}": plan(action("a", "behave.raise", inputs={"kind": kind}, retry=ONCE))
        for kind in ("timeout", "refused", "value")
    },
}


def trace(ended: Endings, name: str) -> tuple[Attempt, ...]:
    return ended.action(name, "a").trace


def waits(ended: Endings, name: str) -> list[float]:
    """Seconds between the attempts of ``a``."""
    found = trace(ended, name)
    ends = [attempt.completed_at for attempt in found]
    assert None not in ends
    return [
        (after.started_at - end).total_seconds()
        for end, after in zip(ends[:-1], found[1:], strict=True)
        if end is not None
    ]


def test_the_default_policy(ended: Endings) -> None:
    """3 attempts, after 1 s and after 2 s, each wait jittered to between half and all of it."""
    assert (ended.statuses("default"), ended.action("default", "a").attempts) == ({"a": "failed"}, 3)
    first, second = waits(ended, "default")
    # A message takes its time as well; an upper bound would test the machine.
    assert first >= 0.5
    assert second >= 1.0


def test_waits_grow_up_to_their_bound(ended: Endings) -> None:
    """The n-th wait is ``min × factorⁿ`` up to ``max``: 100, 300 and 400 ms here, in place of 900."""
    first, second, third = waits(ended, "growing")
    assert first >= 0.1
    assert second >= 0.3
    assert third >= 0.4
    assert ended.action("growing", "a").attempts == 4


def test_an_action_that_succeeds_in_a_later_attempt(ended: Endings) -> None:
    """A failed attempt is tried again; when one succeeds the action completed, and has no error."""
    done = ended.action("in time", "a")
    assert (done.status, done.attempts, done.error) == ("completed", 3, None)
    assert ended.output("in time", "a") == "ok"


def test_attempts_and_errors_of_each_are_kept(ended: Endings) -> None:
    """What each attempt did is in the trace: its number, times, worker, how it ended and its own error."""
    found = trace(ended, "in time")
    assert [(attempt.number, attempt.outcome) for attempt in found] == [(1, "failed"), (2, "failed"), (3, "completed")]
    messages = [attempt.error and attempt.error.message for attempt in found]
    assert messages == [
        "ConnectionError: attempt 1 of 2 that fail",
        "ConnectionError: attempt 2 of 2 that fail",
        None,
    ]
    for attempt in found:
        assert attempt.completed_at is not None
        assert attempt.completed_at >= attempt.started_at
        assert attempt.duration is not None
        assert attempt.worker
    done = ended.action("in time", "a")
    assert (done.started_at, done.completed_at) == (found[0].started_at, found[-1].completed_at)


def test_attempts_run_out(ended: Endings) -> None:
    """After the last attempt its error is the action's."""
    assert ended.error("default", "a").message == "ConnectionError: attempt 3 of 9 that fail"
    assert ended.action("one attempt", "a").attempts == 1


@pytest.mark.parametrize("name", ["final", "bad inputs", "bad output", "other category"])
def test_what_is_not_retried(ended: Endings, name: str) -> None:
    """``ActionError(retryable=False)``, inputs and outputs that do not validate, and categories that the policy
    does not name end the action in its first attempt.
    """
    assert (ended.statuses(name), ended.action(name, "a").attempts) == ({"a": "failed"}, 1)


def test_a_policy_may_name_the_categories_that_it_retries(ended: Endings) -> None:
    """An error of a named category is retried."""
    assert ended.action("named category", "a").attempts == 3


def test_retry_after_is_honoured(ended: Endings) -> None:
    """The next attempt waits as long as the error says, whatever the policy would."""
    assert ended.output("retry after", "a") == 2
    (wait,) = waits(ended, "retry after")
    assert wait >= 0.8
    assert trace(ended, "retry after")[0].error.retry_after == 0.8


@pytest.mark.parametrize("name", ["timeout", "async timeout", "timeout not retried"])
def test_a_timeout_is_enforced(ended: Endings, name: str) -> None:
    """A running action that overruns fails with category ``network_timeout``, saying how long it had."""
    error = ended.error(name, "a")
    assert error.category == ErrorCategory.NETWORK_TIMEOUT
    assert "200 ms" in error.message
    for attempt in trace(ended, name):
        assert attempt.duration is not None
        # The worker's clock for it starts when it takes the message, a little before the attempt is recorded.
        assert 100 <= attempt.duration < 20_000


def test_an_overrun_is_retried_as_the_policy_says(ended: Endings) -> None:
    """A timed-out attempt is an attempt like any other: retried, or not, as its policy says."""
    assert ended.action("timeout", "a").attempts == 2
    assert ended.action("timeout not retried", "a").attempts == 1
    assert (ended.output("slow at first", "a"), ended["slow at first"].status) == (2, "completed")
    assert [attempt.outcome for attempt in trace(ended, "slow at first")] == ["failed", "completed"]


def test_the_policies_hold_for_a_timeout(ended: Endings) -> None:
    """What the plan says of a failure holds for an overrun: here a fallback value."""
    assert ended.output("timeout, fallback", "b") == "late"


def test_a_function_that_never_returns(ended: Endings) -> None:
    """One that swallows what is to end it is ended by the hard limit, with its process; the attempt is recorded
    as timed out, the next runs in another process, and the plan goes on.
    """
    first, second = trace(ended, "deaf at first")
    assert first.error is not None
    assert (first.outcome, first.error.category) == ("failed", ErrorCategory.NETWORK_TIMEOUT)
    assert first.duration is not None
    assert first.duration >= 200
    assert second.outcome == "completed"
    assert ended.output("deaf at first", "b") == 2


def test_a_pool_of_threads_enforces_no_timeout(database: Callable[[], str], tmp_path: Path) -> None:
    """What Celery cannot do there is not done by halves: the action goes on to its end."""
    site = Site(app.make_app(), app.__name__, database(), tmp_path)
    try:
        site.start_worker("--pool", "threads")
        with site.current():
            late = plan(action("a", "behave.sleep", inputs={"seconds": 0.5}, **TIGHT))
            found = Endings.of({"late": late})
    finally:
        site.close()
    assert found.output("late", "a") == "slept"


def test_without_a_timeout_an_action_takes_its_time(ended: Endings) -> None:
    """No timeout is set where none is given."""
    assert ended.output("no timeout", "a") == "slept"


@pytest.mark.parametrize(
    ("kind", "category", "message"),
    [
        ("timeout", "network_timeout", "TimeoutError: no answer"),
        ("refused", "network_connection_refused", "ConnectionRefusedError: nobody there"),
        ("value", "action_failed", "ValueError: not so"),
    ],
)
def test_errors_carry_the_right_category(ended: Endings, kind: str, category: str, message: str) -> None:
    """Exceptions of Python's own get the category that they speak of, and can be retried."""
    error = ended.error(f"raise {kind}", "a")
    assert (error.category, error.message, error.retryable) == (category, message, True)

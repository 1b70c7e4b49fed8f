"""The report as text: complete, without secrets, without anything from outside, and with strangers' text as text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.pictures import plans, runs
from tests.pictures.runs import SECRET
from workflow_state import ActionStatus, ExecutionState, ExecutionStatus, execution_report
from workflow_state.pictures.text import duration
from workflow_state.pictures.values import LEAST
from workflow_state.redaction import REDACTED, SECRET_NAMES, Redactor
from workflow_state.testing import run_plan


class Reader(HTMLParser):
    """Collects the elements, attributes and texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def facts_of(page: str) -> dict[str, Any]:
    """What the page's script gets."""
    found: dict[str, Any] = json.loads(next(text for text in Reader(page).texts if text.startswith('{"span"')))
    return found


def actions_of(page: str) -> dict[str, dict[str, Any]]:
    return {action["id"]: action for action in facts_of(page)["actions"]}


class TestSecrets:
    def test_secrets_are_taken_out_wherever_they_got_to(self) -> None:
        """By name from inputs and outputs; and their texts from every other place, such as an output or an error."""

        def pack() -> None:
            raise ValueError(f"cannot pack for {SECRET}")

        state = runs.shop(warehouse_pack=pack)
        for page in (execution_report(plans.SHOP, state), state.to_html(), state._repr_html_()):
            assert SECRET not in page
            assert REDACTED in page
        page = execution_report(plans.SHOP, state)
        assert "sk-live-4242" not in page
        check = actions_of(page)["check"]
        assert json.loads(check["inputs"]) == {"number": 7, "apiKey": REDACTED}
        assert json.loads(check["output"])["debug"] == f"7 by {REDACTED}"

    def test_the_graph_shows_none_either(self) -> None:
        """A condition, a question, a plan's name that hold what an input calls secret are shown without it."""
        asking = plans.action("b", "a", condition={"if": "${a.output} != 'hunter2-x'"})
        asking["userConfirmation"] = {"title": "Send hunter2-x?"}
        plan = {"name": "about hunter2-x", "actions": [plans.action("a", inputs={"password": "hunter2-x"}), asking]}
        page = execution_report(plan, run_plan(plan, {"test.step": lambda **_: 1}))
        assert "hunter2-x" not in page
        assert page.count(REDACTED) > 5

    def test_more_texts_can_be_called_secret(self) -> None:
        """Whoever knows what else is secret says it."""
        plan = {"actions": [plans.action("a", inputs={"plain": "s3same-open"})]}
        state = run_plan(plan, {"test.step": lambda plain: [plain]})
        assert "s3same-open" not in execution_report(plan, state, secrets=["s3same-open"])

    def test_more_names_can_be_called_secret(self) -> None:
        """With a redactor of one's own; ids stay what they are, even when they look like a secret's name or text."""
        plan = {"actions": [plans.action("token", inputs={"pin": "token"})]}
        state = run_plan(plan, {"test.step": lambda pin: {"seen": f"{pin} it is"}})
        page = execution_report(plan, state, redactor=Redactor([*SECRET_NAMES, "pin"]))
        action = actions_of(page)["token"]
        assert json.loads(action["inputs"]) == {"pin": REDACTED}
        assert json.loads(action["output"]) == {"seen": f"{REDACTED} it is"}

    def test_large_values_are_cut_and_say_so(self) -> None:
        """The more actions, the less of each value, so that 2,000 make no page that nobody can open."""
        plan = plans.numbered([[] for _ in range(2000)])
        state = run_plan(plan, {"test.step": lambda: "x" * 100_000})
        page = execution_report(plan, state)
        output = actions_of(page)["a0"]["output"]
        assert LEAST <= len(output) < 1000
        assert output.endswith("… cut: 100,002 characters in all")
        assert len(page) < 5_000_000


class TestStrangers:
    def hostile(self) -> tuple[dict[str, Any], ExecutionState]:
        """A plan and a run with markup in every text that is somebody's own."""
        text = plans.HOSTILE
        fails = plans.action(
            "constructor", "__proto__", actionDefinitionId="test.fail", condition={"if": f"'{'<b>'}' != ''"}
        )
        fails["userConfirmation"] = {"title": text, "message": text}
        plan = {
            "name": text[:200],
            "actions": [plans.action("__proto__", inputs={text: text.replace("${", "$${")}), fails],
        }

        def fail() -> None:
            raise ValueError(text)

        return plan, run_plan(plan, {"test.step": lambda **_: {text: [text]}, "test.fail": fail})

    def test_their_text_stays_text(self) -> None:
        """Names, inputs, outputs and errors add no element and no attribute to a page."""
        plan, state = self.hostile()
        escaped = (json.dumps(text)[1:-1] for text in (plans.HOSTILE.replace("${", "$${"), plans.HOSTILE))
        safe = json.dumps(plan)
        for text in escaped:
            safe = safe.replace(text, "safe")
        safe = {**json.loads(safe), "name": "safe"}
        harmless = run_plan(safe, {"test.step": lambda **_: {"safe": ["safe"]}, "test.fail": lambda: 1 / 0})
        for make in (execution_report, lambda _, state: state.to_html(), lambda _, state: state._repr_html_()):
            hostile, usual = Reader(make(plan, state)), Reader(make(safe, harmless))
            assert hostile.tags == usual.tags
            assert [name for name, _ in hostile.attributes] == [name for name, _ in usual.attributes]
            assert "alert" in " ".join(hostile.texts)

    def test_ids_that_mean_something_to_javascript_are_ids(self) -> None:
        """``__proto__`` and ``constructor`` are actions like any other."""
        plan, state = self.hostile()
        assert list(actions_of(execution_report(plan, state))) == ["__proto__", "constructor"]


class TestPage:
    def test_it_needs_nothing_from_outside(self) -> None:
        """One file: no address, no link, no style or script but its own, and a policy that forbids all others."""
        page = execution_report(*runs.recorded(plans.grid(3, 3), failing="a4"))
        reader = Reader(page)
        assert re.findall(r"https?://[^\s\"<]*", page) == ["http://www.w3.org/2000/svg"] * page.count("http://")
        assert not {"link", "img", "iframe", "object", "embed", "base"} & set(reader.tags)
        assert {value[0] for name, value in reader.attributes if name in ("href", "src")} == {"#"}
        assert "url(" not in page
        (policy,) = (value for name, value in reader.attributes if name == "content" and "default-src" in value)
        hashes = r"script-src 'sha256-\S+'; style-src 'sha256-\S+'"
        assert re.fullmatch(rf"default-src 'none'; {hashes}; base-uri 'none'", policy)

    def test_what_failed_and_what_it_blocked_is_there_without_a_script(self) -> None:
        """At the top, as text: the action, how often it was tried, its error, and whom it blocked."""
        state = run_plan(
            {"actions": [plans.action("a", retry={"maxAttempts": 2}), plans.action("b", "a"), plans.action("c", "b")]},
            {"test.step": lambda: 1 / 0},
        )
        plan = {"actions": [plans.action("a"), plans.action("b", "a"), plans.action("c", "b")]}
        text = " ".join(Reader(execution_report(plan, state).split("<script")[0]).texts)
        assert "a failed after 2 attempts action_failed" in re.sub(r"\s+", " ", text)
        assert "division by zero" in text
        assert re.search(r"It blocked 2:\s+b\s+c", text)

    def test_many_failures_do_not_hide_the_page(self) -> None:
        """Five have a card, the others are counted."""
        plan = {"actions": [plans.action(f"a{n}", errorHandling={"continueOnFailure": True}) for n in range(9)]}
        page = execution_report(plan, run_plan(plan, {"test.step": lambda: 1 / 0}))
        assert page.count("<article") == 5
        assert "4 more failed actions" in page

    def test_a_run_that_goes_on_is_drawn_until_now(self) -> None:
        """A running action's bar ends at the moment of the report, and so does the timeline."""
        program, state = runs.recorded(plans.numbered([[], [0]]))
        first, second = state.action_states.values()
        running = second.model_copy(update={"status": ActionStatus.RUNNING, "completed_at": None, "trace": ()})
        going = state.model_copy(
            update={
                "status": ExecutionStatus.RUNNING,
                "completed_at": None,
                "action_states": {"a0": first, "a1": running},
            }
        )
        facts = facts_of(execution_report(program, going, now=runs.moment(60_000)))
        assert facts["span"] == 60_000
        assert facts["actions"][1]["to"] == 60_000
        assert "so far" in execution_report(program, going, now=runs.moment(60_000))

    def test_a_confirmation_is_on_the_timeline(self) -> None:
        """When a person was asked and what they said is a fact of the action."""
        state = runs.shop()
        asked = actions_of(execution_report(plans.SHOP, state))["approve"]
        assert asked["question"] == "Ship it?"
        assert asked["asked"]["answer"] == "confirmed"

    def test_the_state_has_to_be_one_of_the_plan(self) -> None:
        """Else the error names an action that only one of them has."""
        with pytest.raises(ValueError, match=r"not one of plan 'order'.*'a0'.*give the plan that was executed"):
            execution_report(plans.SHOP, runs.recorded(plans.numbered([[]]))[1])

    def test_a_state_alone_has_no_graph(self) -> None:
        """``to_html`` of a state knows no dependencies: timeline and results, no graph and no critical path."""
        page = runs.shop().to_html()
        assert 'id="graph"' not in page
        assert "data-critical" not in page
        assert set(actions_of(page)) == {"check", "stock", "charge", "invoice", "approve", "pack", "mail"}


def test_a_notebook_shows_a_small_table() -> None:
    """Failed actions first, thirty at most, and a word on the others; a few kilobytes whatever the run."""
    _, state = runs.recorded(plans.grid(40, 50), failing="a1312")
    shown = state._repr_html_()
    assert len(shown) < 15_000
    rows = re.findall(r"<tr><td>(\w+)", shown)
    assert rows[0] == "a1312"
    assert len(rows) == 30
    assert "1 failed, 1,349 completed, 650 skipped" in shown
    assert "and 1,970 more" in shown


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1000, "1.00 s"),
        (59_990, "59.99 s"),
        (60_000, "1 min 00 s"),
        (3_599_000, "59 min 59 s"),
        (3_720_000, "1 h 02 min"),
        (93_600_000, "1 d 02 h"),
    ],
)
def test_lengths_of_time_are_for_people(milliseconds: int, text: str) -> None:
    """Two units at most."""
    assert duration(milliseconds) == text

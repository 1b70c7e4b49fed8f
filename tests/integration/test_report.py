"""The report of a real run, as the state manager makes it, opened in a real browser."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.browser import console
from tests.integration.outcomes import QUICK, run
from tests.workers import Site, action, plan
from workflow_state import ActionRegistry, ExecutionNotFoundError, StateManager, compile_plan, execution_report
from workflow_state.redaction import DEFAULT
from workflow_state.runtime.reporting import secret_parameters, secrets_given_in
from workflow_state.testing import run_plan
from workflow_state.validation import prepare_plan


def test_a_real_run_is_reported(library: Site, browser: Chrome, tmp_path: Path) -> None:
    """After retries and a failure on a real worker: attempts, waits, error and what it blocked are in the page, in its
    graph and panels; the secret that an action was given and repeated is nowhere.
    """
    wanted = plan(
        action("login", "test.echo", inputs={"password": "hunter2-44d1", "seen": "it is hunter2-44d1"}),
        action("flaky", "test.flaky", "login", inputs={"times": 2}, retry=QUICK),
        action("charge", "test.fail", "flaky", inputs={"message": "declined for hunter2-44d1"}, retry=QUICK),
        action("mail", "test.echo", "charge"),
        name="Order 7",
    )
    state = run(wanted)
    page = StateManager().report(state.id)
    assert "hunter2-44d1" not in page
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    console(browser)
    browser.get(path.as_uri())
    card = browser.find_element(By.CSS_SELECTOR, ".card").text
    assert card.startswith("charge\nfailed after 3 attempts\naction_failed\n")
    assert "declined for [redacted]" in card
    assert "It blocked 1:\nmail" in card
    assert len(browser.find_elements(By.CSS_SELECTOR, "#graph .ws-box")) == 4
    flaky = next(row for row in browser.find_elements(By.CSS_SELECTOR, ".row") if "flaky" in row.text)
    assert len(flaky.find_elements(By.CSS_SELECTOR, ".b.ws-failed")) == 2
    assert len(flaky.find_elements(By.CSS_SELECTOR, ".b.ws-completed")) == 1
    assert flaky.find_elements(By.CSS_SELECTOR, ".b.wait")
    flaky.click()
    assert "3 attempts" in browser.find_element(By.ID, "panel").text
    assert console(browser) == []
    with pytest.raises(ExecutionNotFoundError):
        StateManager().report(str(uuid.uuid4()))


class Account(BaseModel):
    user: str
    password: SecretStr


def test_what_a_reference_brings_under_a_secret_name_is_found() -> None:
    """An output is no secret by its own name, and is one by the name of the input that it becomes."""
    registry = ActionRegistry()
    registry.action("fetch")(lambda: {"found": "hunter2-77a0"})
    registry.action("login")(lambda password: len(password))
    login = action("login", "login", "fetch", inputs={"password": "${fetch.output.found}"})
    wanted = plan(action("fetch", "fetch"), login)
    program, state = compile_plan(prepare_plan(wanted)), run_plan(wanted, registry)
    found = secrets_given_in(program, state, registry, DEFAULT)
    assert found == {"hunter2-77a0"}
    assert "hunter2-77a0" not in execution_report(program, state, secrets=found)


def test_what_actions_declare_secret_by_type_is_found() -> None:
    """In parameters of any depth; resolved where a reference says it, and as written for actions that never ran."""
    registry = ActionRegistry()

    @registry.action("vault.read")
    def read() -> dict[str, str]:
        return {"value": "from-the-vault"}

    @registry.action("account.open")
    def open_account(account: Account, pin: SecretStr | None = None, note: str = "", amount: int = 0) -> None:
        raise RuntimeError("closed")

    def account(action_id: str, *needs: str, **inputs: object) -> dict[str, object]:
        return {"id": action_id, "actionDefinitionId": "account.open", "dependencies": list(needs), "inputs": inputs}

    opened = account("a", "v", account={"user": "ada-l", "password": "${v.output.value}"}, note="hello", amount=3)
    never = account(
        "b", "a", account={"user": "${a.output}", "password": "in-the-plan"}, pin="4711", amount="${a.output}"
    )
    wanted = {"actions": [{"id": "v", "actionDefinitionId": "vault.read"}, opened, never]}
    assert secret_parameters(registry.get("account.open")) == {"account", "pin"}
    assert secret_parameters(registry.get("vault.read")) == set()
    program = compile_plan(prepare_plan(wanted))
    found = secrets_given_in(program, run_plan(wanted, registry), registry, DEFAULT)
    assert {"from-the-vault", "in-the-plan", "4711"} <= found
    assert not {"hello", "${a.output}"} & found

"""Actions under the definition ids of ``tests/corpus/original``: plans as the original package has them."""

from __future__ import annotations

from typing import Any

from workflow_state import ActionError, action


@action("records.validate")
def validate(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Splits off what cannot be."""
    valid = [record for record in records if record["age"] >= 0]
    return {"valid": valid, "rejected": len(records) - len(valid)}


@action("records.transform")
def transform(records: list[dict[str, Any]], upper: bool) -> list[str]:
    """Names only."""
    return [record["name"].upper() if upper else record["name"] for record in records]


@action("records.save")
def save(records: list[Any], label: str) -> dict[str, Any]:
    """Says how many it was given."""
    return {"saved": len(records), "label": label}


@action("http.get")
def get(url: str, headers: dict[str, str]) -> dict[str, Any]:
    """An answer, without a network."""
    return {"status": 200, "body": {"items": [f"item of {url.rpartition('/')[2]}"]}}


@action("results.combine")
def combine(results: list[dict[str, Any]], summary: str) -> dict[str, Any]:
    """All items of all results."""
    return {
        "count": len(results),
        "items": [item for result in results for item in result["items"]],
        "summary": summary,
    }


@action("user.lookup")
async def look_up(userId: str) -> dict[str, str]:
    """A basic user."""
    return {"name": f"user {userId}", "userType": "basic"}


@action("flow.premium")
@action("flow.basic")
def flow(name: str) -> str:
    """A flow of its own for each type of user."""
    return f"welcome, {name}"


@action("flow.upsell")
def upsell() -> str:
    """After the basic flow only."""
    return "would you like more?"


@action("mail.send")
def send_mail(to: str, server: str) -> dict[str, str]:
    """A server is down, or refuses."""
    if server == "down":
        raise ConnectionRefusedError("no mail today")
    raise ActionError(f"{to} is not welcome", category="auth_invalid", status_code=403, retryable=False)


@action("letter.send")
def send_letter(to: str, why: str) -> dict[str, str]:
    """Always works."""
    return {"receipt": f"letter to {to}", "why": why}

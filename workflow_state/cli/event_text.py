"""An event as words on a line."""

from __future__ import annotations

from workflow_state.event_types import Event


def event_line(event: Event) -> str:
    """Whom it is about, what happened, and the detail that matters."""
    who = getattr(event, "action_id", "plan")
    what = event.type.rpartition(".")[2]
    if event.type.startswith("user.confirmation."):
        what = f"confirmation {what}"
    return "  ".join([who, what, *_details(event)])


def _details(event: Event) -> list[str]:
    found = event.model_dump(
        include={"attempt", "delay", "reason", "title", "confirmed", "user_id", "action_definition_id"}
    )
    error = getattr(event, "error", None)
    details = []
    if found.get("action_definition_id"):
        details.append(str(found["action_definition_id"]))
    if found.get("attempt", 0) > 1 or "delay" in found:
        details.append(f"attempt {found['attempt']}")
    if "delay" in found:
        details.append(f"again in {found['delay'] / 1000:g} s")
    if "confirmed" in found:
        details.append("yes" if found["confirmed"] else "no")
    details += [str(found[name]) for name in ("user_id", "title", "reason") if found.get(name)]
    if error is not None:
        details.append(f"{error.category}: {error.message}")
    return details

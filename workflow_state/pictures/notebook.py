"""A state in a notebook: one line, one strip, and the actions that matter most, in a few kilobytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

from workflow_state import display
from workflow_state.models import ActionExecutionState, ExecutionState, Skipped, Success
from workflow_state.pictures.looks import looks_of
from workflow_state.pictures.palette import STATUS_LOOKS, SYMBOLS, Look, css_colours, css_looks
from workflow_state.pictures.text import duration, markup, one_line
from workflow_state.pictures.values import secrets_of, shown
from workflow_state.redaction import DEFAULT

#: Rows of the table, and characters of what came out of an action.
MAX_ROWS: Final = 30
MAX_TEXT: Final = 100
#: What is looked for first.
ORDER: Final = (Look.FAILED, Look.WAITING, Look.RUNNING, Look.COMPLETED, Look.PENDING, Look.SKIPPED)
_STYLE: Final = (
    ".ws-state svg{width:13px;height:13px;vertical-align:-2px;overflow:visible;color:var(--line);fill:currentColor}"
    ".ws-state .ws-cut{fill:none;stroke:var(--ws-page);stroke-width:1.7}.ws-state .ws-solid{fill:var(--ws-page)}"
    ".ws-state .ws-open{fill:none;stroke:currentColor;stroke-width:1.5}.ws-state p{margin:0 0 6px}"
    ".ws-state td,.ws-state th{text-align:left;padding:2px 9px 2px 0}"
)

_HEAD: Final = "".join(f"<th>{name}</th>" for name in ("action", "status", "attempts", "time", "output or error"))


@display.snippet.register
def snippet_of(state: ExecutionState) -> str:
    """The state as HTML for a notebook: its counts, and up to 30 actions, failed ones first; secrets are taken out."""
    looks = looks_of(state)
    secrets = secrets_of(DEFAULT, None, state)
    names = sorted(state.action_states, key=lambda name: ORDER.index(looks[name]))
    rows = "".join(_row(state.action_states[name], looks[name], secrets) for name in names[:MAX_ROWS])
    rest = len(names) - MAX_ROWS
    more = f"<p>and {rest:,} more: <code>state.to_html()</code> shows all of them</p>" if rest > 0 else ""
    error = f"<p>{_brief(DEFAULT.clean_text(state.error.message, secrets))}</p>" if state.error else ""
    return (
        f"<style>{css_colours('.ws-state')}{css_looks()}{_STYLE}</style>"
        f'<div class="ws-state"><p>{_headline(state, looks)}</p>{error}'
        f"<table><thead><tr>{_HEAD}</tr></thead><tbody>{rows}</tbody></table>{more}</div>"
    )


def _headline(state: ExecutionState, looks: Mapping[str, Look]) -> str:
    counts = Counter(looks.values())
    words = [state.status.value.replace("_", " ")]
    words += [f"in {duration(state.metrics.total_duration)}"] if state.status.ended else []
    counted = ", ".join(f"{counts[look]:,} {look}" for look in ORDER if counts[look])
    return (
        f"{_symbol(STATUS_LOOKS[state.status])} <b>{markup(state.plan_id)}</b> {' '.join(words)}: {counted}"
        f" <code>{markup(state.id)}</code>"
    )


def _row(action: ActionExecutionState, look: Look, secrets: Collection[str]) -> str:
    text = ""
    if isinstance(action.result, Success):
        text = shown(DEFAULT.clean(action.result.output, secrets), MAX_TEXT)
    elif isinstance(action.result, Skipped):
        text = DEFAULT.clean_text(action.result.reason, secrets)
    elif action.error:
        text = DEFAULT.clean_text(action.error.message, secrets)
    took = "" if action.duration is None else duration(action.duration)
    cells = (markup(action.action_id), f"{_symbol(look)} {look}", action.attempts or "", took, _brief(text))
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _brief(text: str) -> str:
    """One line of text, as markup."""
    line = one_line(text)
    return markup(line if len(line) <= MAX_TEXT else f"{line[:MAX_TEXT]}…")


def _symbol(look: Look) -> str:
    return f'<svg class="ws-{look}" viewBox="-1 -1 14 14" aria-hidden="true">{SYMBOLS[look]}</svg>'

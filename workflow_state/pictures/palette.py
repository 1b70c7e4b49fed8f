"""Colours and symbols: one look for graph, report and notebook, in light and dark.

No status is told by colour alone: each has a symbol of its own outline. The colours stay apart for people who see
less red, green or blue (after Okabe and Ito): green leans to blue, red to orange, and blue to violet. The critical path
has the colour of text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from workflow_state.models import ExecutionStatus


class Look(StrEnum):
    """How an action is shown: its status, or that it waits for a person."""

    COMPLETED = "completed"
    FAILED = "failed"
    RUNNING = "running"
    WAITING = "waiting"
    SKIPPED = "skipped"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Tone:
    """The colours of one look: of its line and symbol, and of its area."""

    line: str
    area: str


LIGHT: Final[Mapping[str, str]] = {
    "page": "#ffffff",
    "card": "#f6f7f9",
    "ink": "#1b2330",
    "muted": "#5a6474",
    "rule": "#dde2e8",
    "edge": "#a4afbd",
    "accent": "#1f66c1",
}
DARK: Final[Mapping[str, str]] = {
    "page": "#11151b",
    "card": "#191f28",
    "ink": "#e7ebf1",
    "muted": "#9ba6b6",
    "rule": "#2b3441",
    "edge": "#566273",
    "accent": "#7ab5ff",
}
LIGHT_TONES: Final[Mapping[Look, Tone]] = {
    Look.COMPLETED: Tone("#0b7a63", "#e2f3ee"),
    Look.FAILED: Tone("#c23b0a", "#fde8dd"),
    Look.RUNNING: Tone("#2a45c2", "#e5e9fb"),
    Look.WAITING: Tone("#8347b0", "#f3e9fa"),
    Look.SKIPPED: Tone("#6f7b8b", "#eceff3"),
    Look.PENDING: Tone("#8f9aa9", "#ffffff"),
}
DARK_TONES: Final[Mapping[Look, Tone]] = {
    Look.COMPLETED: Tone("#3fc79e", "#14322b"),
    Look.FAILED: Tone("#ff8b52", "#452312"),
    Look.RUNNING: Tone("#7f9cff", "#1c2751"),
    Look.WAITING: Tone("#cb9df0", "#352449"),
    Look.SKIPPED: Tone("#8995a5", "#232a34"),
    Look.PENDING: Tone("#6b7787", "#11151b"),
}

#: Twelve pixels square; ``cut`` is drawn in the colour of the page.
SYMBOLS: Final[Mapping[str, str]] = {
    Look.COMPLETED: '<circle cx="6" cy="6" r="6"/><path class="ws-cut" d="M3.2 6.3l2 2 3.7-4.2"/>',
    Look.FAILED: '<path d="M6-.6 12.6 6 6 12.6-.6 6z"/><path class="ws-cut" d="M4.2 4.2l3.6 3.6m0-3.6L4.2 7.8"/>',
    Look.RUNNING: '<rect width="12" height="12" rx="3"/><path class="ws-cut ws-solid" d="M4.6 3.4 8.8 6 4.6 8.6z"/>',
    Look.WAITING: '<circle cx="6" cy="6" r="6"/><path class="ws-cut" d="M4.4 3.8v4.4m3.2-4.4v4.4"/>',
    Look.SKIPPED: '<circle class="ws-open" cx="6" cy="6" r="5.2"/><path class="ws-open" d="M3.4 6h5.2"/>',
    Look.PENDING: '<circle class="ws-open" cx="6" cy="6" r="5.2"/>',
    "condition": '<path class="ws-open" d="M6 .8 11.2 6 6 11.2.8 6z"/>',
    "confirmation": '<circle cx="6" cy="3.2" r="2.7"/><path d="M.8 12a5.2 5.2 0 0 1 10.4 0z"/>',
    "alternative": '<path class="ws-open" d="M.8 3h3.6l3.4 6h3.4m-2-2 2 2-2 2"/>',
    "fallback": '<path class="ws-open" d="M1 1.4h10M6 1.4v8m-3-3 3 3 3-3"/>',
}

STATUS_LOOKS: Final[Mapping[ExecutionStatus, Look]] = {
    ExecutionStatus.INITIALIZING: Look.PENDING,
    ExecutionStatus.RUNNING: Look.RUNNING,
    ExecutionStatus.PAUSED_FOR_CONFIRMATION: Look.WAITING,
    ExecutionStatus.COMPLETED: Look.COMPLETED,
    ExecutionStatus.FAILED: Look.FAILED,
    ExecutionStatus.CANCELLED: Look.SKIPPED,
}


def css_variables(values: Mapping[str, str], tones: Mapping[Look, Tone]) -> str:
    """The colours as CSS custom properties, such as ``--ws-ink``, ``--ws-failed`` and ``--ws-failed-area``."""
    found = {f"--ws-{name}": value for name, value in values.items()}
    for look, tone in tones.items():
        found |= {f"--ws-{look}": tone.line, f"--ws-{look}-area": tone.area}
    return "".join(f"{name}:{value};" for name, value in found.items())


def css_colours(selector: str) -> str:
    """CSS that gives an element and what is in it the light or the dark colours, as its reader prefers."""
    light, dark = css_variables(LIGHT, LIGHT_TONES), css_variables(DARK, DARK_TONES)
    return f"{selector}{{{light}}}@media(prefers-color-scheme:dark){{{selector}{{{dark}}}}}"


def css_looks() -> str:
    """CSS that lets ``.ws-failed`` and its like set the colours ``--line`` and ``--area``."""
    return "".join(f".ws-{look}{{--line:var(--ws-{look});--area:var(--ws-{look}-area)}}" for look in Look)


def symbol_definitions() -> str:
    """SVG symbols for ``<use href="#ws-s-failed"/>``."""
    return "".join(
        f'<symbol id="ws-s-{name}" viewBox="-1 -1 14 14">{drawn}</symbol>' for name, drawn in SYMBOLS.items()
    )

"""Why a run is not well, on cards at the top of its page: what failed, how, and what that blocked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from workflow_state.pictures.facts import Facts
from workflow_state.pictures.palette import STATUS_LOOKS, Look
from workflow_state.pictures.run import Trouble
from workflow_state.pictures.text import markup

#: How many failed actions have a card of their own, and how many blocked ones are named in it.
MAX_CARDS: Final = 5
MAX_NAMES: Final = 12
#: Characters of an error's message in a card; all of it is in the panel.
MAX_MESSAGE: Final = 600


def cards_of(facts: Facts) -> str:
    """The section of cards; "" when nothing failed."""
    cards = [_card(facts, one) for one in facts.troubles[:MAX_CARDS]]
    more = len(facts.troubles) - MAX_CARDS
    if more > 0:
        cards.append(f'<p class="more"><button data-only="failed">{more:,} more failed actions</button></p>')
    if facts.error and all(one.tolerated for one in facts.troubles):
        look = STATUS_LOOKS[facts.state.status]
        cards.insert(0, f'<article class="card ws-{look}"><p class="message">{markup(facts.error)}</p></article>')
    return f'<section aria-label="What went wrong" class="cards">{"".join(cards)}</section>' if cards else ""


def symbol_of(look: Look) -> str:
    """The small picture of a status."""
    return f'<svg class="symbol ws-{look}" aria-hidden="true"><use href="#ws-s-{look}"/></svg>'


def _card(facts: Facts, trouble: Trouble) -> str:
    look = Look.SKIPPED if trouble.tolerated else Look.FAILED
    return f'<article class="card ws-{look}">{"".join(_lines(facts, trouble))}</article>'


def _lines(facts: Facts, trouble: Trouble) -> Iterator[str]:
    known = facts.actions[facts.order.index(trouble.action_id)]
    error, attempts = known.get("error", {}), known.get("attempts", 0)
    what = f"failed after {attempts} attempts" if attempts > 1 else "failed"
    category = f"<code>{markup(error['category'])}</code>" if "category" in error else ""
    yield f"<h2>{symbol_of(Look.FAILED)}{_button(trouble.action_id)}<span>{what}</span>{category}</h2>"
    message = str(error.get("message", ""))
    yield f'<p class="message">{markup(message[:MAX_MESSAGE])}{"…" if len(message) > MAX_MESSAGE else ""}</p>'
    if "suggestion" in error:
        yield f"<p>{markup(error['suggestion'])}</p>"
    if trouble.tolerated:
        yield "<p>The plan went on without it.</p>"
    elif trouble.blocked:
        names = "".join(map(_button, trouble.blocked[:MAX_NAMES]))
        rest = len(trouble.blocked) - MAX_NAMES
        more = f" <span>and {rest:,} more</span>" if rest > 0 else ""
        yield f'<p class="names"><b>It blocked {len(trouble.blocked):,}:</b> {names}{more}</p>'


def _button(action_id: str) -> str:
    return f'<button class="open" data-open="{markup(action_id)}">{markup(action_id)}</button>'

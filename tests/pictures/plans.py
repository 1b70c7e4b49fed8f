"""Plans to draw: one with every mark, hostile ones, and large ones."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

HOSTILE = (
    """</script></title><script>alert("1")</script><img src=x onerror=alert(2)> ]]> --> """
    """${x} `*_~ %%{init} \\N \u202e"'&#x3c;"""
)
"""A text that means something in HTML, XML, JavaScript, Mermaid, DOT or to a reader of Arabic."""

SHOP: dict[str, Any] = {
    "id": "order-17",
    "name": "order",
    "actions": [
        {"id": "check", "actionDefinitionId": "customers.check", "inputs": {"number": 7, "apiKey": "sk-live-4242"}},
        {"id": "stock", "actionDefinitionId": "stock.reserve"},
        {
            "id": "charge",
            "actionDefinitionId": "payments.charge",
            "dependencies": ["check"],
            "inputs": {"amount": "${check.output.total}"},
            "condition": {"if": "${check.output.kind} == 'premium'"},
            "errorHandling": {"alternativeActionId": "invoice"},
        },
        {"id": "invoice", "actionDefinitionId": "payments.invoice"},
        {
            "id": "approve",
            "actionDefinitionId": "people.approve",
            "dependencies": ["charge"],
            "userConfirmation": {"title": "Ship it?"},
            "errorHandling": {"fallbackValue": None},
        },
        {"id": "pack", "actionDefinitionId": "warehouse.pack", "dependencies": ["approve", "stock"]},
        {"id": "mail", "actionDefinitionId": "mail.send", "dependencies": ["pack", "check"]},
    ],
}


def action(action_id: str, *dependencies: str, **fields: Any) -> dict[str, Any]:
    return {"id": action_id, "actionDefinitionId": "test.step", "dependencies": [*dependencies], **fields}


def plan_of(needs: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """A plan of plain actions: whom each of them needs."""
    return {"actions": [action(name, *before) for name, before in needs.items()]}


def numbered(needs: Iterable[Iterable[int]]) -> dict[str, Any]:
    """A plan from numbers: the n-th entry has the numbers that ``a<n>`` needs."""
    return plan_of({f"a{n}": [f"a{other}" for other in sorted(set(before))] for n, before in enumerate(needs)})


def grid(levels: int, width: int, seed: int = 1) -> dict[str, Any]:
    """Levels of equal width; every action needs two of the level before, and some one from far back."""
    chance = random.Random(seed)
    needs: list[list[int]] = []
    for level in range(levels):
        for _ in range(width):
            start = (level - 1) * width
            before = [] if not level else [start + chance.randrange(width) for _ in range(2)]
            far = [chance.randrange(start)] if level > 2 and chance.random() < 0.1 else []
            needs.append(before + far)
    return numbered(needs)


def fans(width: int) -> dict[str, Any]:
    """One action, then ``width`` chains of two, then one that needs them all."""
    middle = [[0] for _ in range(width)] + [[n + 1] for n in range(width)]
    return numbered([[], *middle, range(width + 1, 2 * width + 1)])


def tangle(depth: int, seed: int = 1) -> dict[str, Any]:
    """A chain in which every action also needs two from anywhere before it."""
    chance = random.Random(seed)
    return numbered([[n - 1, *(chance.randrange(n) for _ in range(2))] if n else [] for n in range(depth)])

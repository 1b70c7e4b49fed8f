"""The shapes of the plans, all of no-op actions."""

from __future__ import annotations

from typing import Any

Plan = dict[str, Any]


def grid(levels: int, width: int) -> Plan:
    """``levels`` x ``width`` actions, each depending on two of the level before (on one when it has no more)."""
    return {
        "name": f"grid-{levels}x{width}",
        "actions": [
            _noop(f"a{level}_{i}", {f"a{level - 1}_{j % width}": None for j in (i, i + 1)} if level else ())
            for level in range(levels)
            for i in range(width)
        ],
    }


def fan(width: int) -> Plan:
    """1 -> ``width`` -> 1."""
    middle = [f"w{i}" for i in range(width)]
    actions = [_noop("first"), *(_noop(name, ["first"]) for name in middle), _noop("last", middle)]
    return {"name": f"fan-{width}", "actions": actions}


def chain(length: int) -> Plan:
    """``length`` actions one after the other."""
    actions = [_noop(f"a{i}", [f"a{i - 1}"] if i else ()) for i in range(length)]
    return {"name": f"chain-{length}", "actions": actions}


def _noop(action_id: str, dependencies: Any = ()) -> Plan:
    return {"id": action_id, "actionDefinitionId": "benchmarks.noop", "dependencies": list(dependencies)}

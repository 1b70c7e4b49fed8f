"""For state machines of which most calls make sense only in some states: play those that do, and seldom the others.

Hypothesis by itself picks any rule, and switches half of them off in each game; where a game needs most of
them to get anywhere, it gets nowhere. So one rule plays all calls, each as likely as it says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import strategies as st

F = TypeVar("F", bound=Callable[..., None])


def call(when: Callable[[Any], bool], weight: int, **arguments: st.SearchStrategy[Any]) -> Callable[[F], F]:
    """Mark a method of a state machine as a call.

    Args:
        when: whether it makes sense, given the machine; otherwise its weight is 1.
        weight: how often it is played, compared with the others.
        arguments: what with.
    """

    def note(method: F) -> F:
        method.likely_call = (when, weight, st.fixed_dictionaries(arguments))  # type: ignore[attr-defined]
        return method

    return note


def always(_machine: Any) -> bool:
    """For a call that always makes sense."""
    return True


def _choices(machine: Any) -> list[str]:
    """Names of methods, as often as they are likely; the likeliest first, as Hypothesis likes the beginning.

    A machine made of another plays its calls too; one that it overrides without a mark is played no more.
    """
    methods: dict[str, Any] = {}
    for kind in reversed(type(machine).__mro__):
        methods |= vars(kind)
    marked = {name: method.likely_call for name, method in methods.items() if hasattr(method, "likely_call")}
    weights = {name: weight if when(machine) else 1 for name, (when, weight, _) in marked.items()}
    return [name for name in sorted(weights, key=lambda name: -weights[name]) for _ in range(weights[name])]


@st.composite
def _likely_calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    machine = draw(st.runner())
    name = draw(st.sampled_from(_choices(machine)))
    return name, draw(getattr(type(machine), name).likely_call[2])


likely_calls = _likely_calls()
"""(method, arguments), for the one rule of the machine."""

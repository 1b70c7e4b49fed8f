"""What the actions of those peers do that take any function: nothing."""

from __future__ import annotations


def noop(*_: None) -> None:
    """Do nothing, whatever came before."""

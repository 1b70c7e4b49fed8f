"""A bound on how much JSON a plan can make of references: small plans must not become huge inputs."""

from __future__ import annotations

from pydantic import JsonValue

from workflow_state.errors import InputTooLargeError

#: What a number, a boolean, a null or the frame of a list or object counts, in characters.
SCALAR_SIZE = 8


class Budget:
    """Characters of JSON that may still be spent; counting stops as soon as they are gone."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._left = limit

    def spend(self, value: JsonValue) -> None:
        """Count a value, roughly as many characters as its JSON has.

        Raises:
            InputTooLargeError: there are not enough left.
        """
        stack = [value]
        while stack:
            item = stack.pop()
            if isinstance(item, str):
                self._left -= len(item) + 2
            elif isinstance(item, dict):
                self._left -= SCALAR_SIZE + sum(map(len, item))
                stack.extend(item.values())
            elif isinstance(item, list):
                self._left -= SCALAR_SIZE
                stack.extend(item)
            else:
                self._left -= SCALAR_SIZE
            if self._left < 0:
                raise InputTooLargeError(
                    f"The inputs are larger than the limit of {self._limit} characters of JSON once their "
                    "references are resolved; read fields instead of whole outputs, or raise max_input_size"
                )

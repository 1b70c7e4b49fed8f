"""How large things are drawn: a plan of ten actions has room for words, one of two thousand has not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workflow_state.pictures.layout import Spacing
from workflow_state.pictures.text import fitted, width_of
from workflow_state.program import Step


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes in pixels. ``room``: of an id, at most; ``small``: font of the second line, none without one."""

    name: str
    up_to: float
    font: float
    small: float
    line: float
    pad: float
    room: float
    spacing: Spacing

    def lines(self, step: Step, shared: str) -> tuple[str, ...]:
        """What is written in the box of an action: its id, its definition, its condition; as far as there is room.

        ``shared``: what all ids begin with; it is left out of ids that do not fit.
        """
        name = step.id
        if shared and width_of(name, self.font) > self.room:
            name = f"…{name.removeprefix(shared)}"
        label = fitted(name, self.font, self.room)
        if not self.small:
            return (label,)
        condition = [f"if {step.condition.if_}"] if step.condition else []
        more = (fitted(text, self.small, self.room, tail=False) for text in (step.definition, *condition))
        return (label, *more)

    def width(self, lines: tuple[str, ...], left: float, marks: int) -> float:
        """Of a box: its text, what is left of it, and marks behind it."""
        fonts = (self.font, *(self.small for _ in lines[1:]))
        text = max(width_of(text, font) for text, font in zip(lines, fonts, strict=True))
        return round(left + text + marks * (self.icon + 3) + self.pad)

    def height(self, lines: tuple[str, ...]) -> float:
        """Of a box, by how many lines it has."""
        return len(lines) * self.line + self.pad

    @property
    def icon(self) -> float:
        """Side of a symbol."""
        return round(self.font * 0.95, 1)

    def text_left(self, symbol: bool) -> float:
        """From the left of a box to its text, behind a symbol if there is one."""
        return self.pad * 1.6 + self.icon if symbol else self.pad * 1.2


DETAILED: Final = Scale("detailed", 40, 13, 11, 17, 9, 230, Spacing(18, 11, 40, 52, 24))
PLAIN: Final = Scale("plain", 300, 12, 0, 18, 7, 165, Spacing(9, 6, 18, 42, 24))
COMPACT: Final = Scale("compact", float("inf"), 9, 0, 11, 4, 84, Spacing(5, 3, 10, 34, 24))


def scale_for(actions: int) -> Scale:
    """The largest scale in which a plan of so many actions can be looked at."""
    return next(scale for scale in (DETAILED, PLAIN, COMPACT) if actions <= scale.up_to)

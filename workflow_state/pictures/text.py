"""Text in pictures: plans come from strangers, so it is measured, cut and escaped before it gets anywhere."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from html import escape
from typing import Final

#: Widths of letters as parts of the font's size, for a wide font: a picture must hold on every system.
_NARROW: Final = frozenset("iljtfrI.,:;|!'`()[]{} -")
_WIDE: Final = frozenset("mwMW@%")
#: A shared start of ids is left out when it has so many letters.
WORTHWHILE: Final = 6
#: What XML 1.0 cannot hold, not even escaped.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: What turns the direction of text around, and could show an id as another one.
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")

#: Units of time from minutes on: its seconds, the unit of what is left, and that one's seconds.
UNITS: Final = (("min", 60, "s", 1), ("h", 3600, "min", 60), ("d", 86_400, "h", 3600))


def markup(text: object) -> str:
    """Text for the inside of an element or of a quoted attribute, in HTML and in XML."""
    return escape(_NOT_XML.sub("\ufffd", str(text)))


def one_line(text: str) -> str:
    """Text without line breaks, control characters and what changes the direction of writing."""
    return _CONTROLS.sub(" ", text).strip()


def width_of(text: str, size: float) -> float:
    """About how many pixels wide a text is; rather more than less."""
    return size * sum(map(_width, text))


def fitted(text: str, size: float, room: float, *, tail: bool = True) -> str:
    """The text on one line, or its start, and its end too, around ``…`` when it is wider than the room in pixels."""
    text = one_line(text)
    if width_of(text, size) <= room:
        return text
    left = room - size
    head, end = "", ""
    while text and left > 0:
        # Ids often differ at their end only.
        at_end = tail and len(end) < len(head)
        letter = text[-1] if at_end else text[0]
        left -= size * _width(letter)
        if left < 0:
            break
        head, end = (head, letter + end) if at_end else (head + letter, end)
        text = text[:-1] if at_end else text[1:]
    return f"{head}…{end}"


def duration(milliseconds: int) -> str:
    """A length of time for people: ``850 ms``, ``3.42 s``, ``2 min 03 s``, ``1 h 02 min``, ``3 d 04 h``."""
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    seconds = milliseconds // 1000
    if seconds < 60:
        return f"{milliseconds / 1000:.2f} s"
    unit, length, below, part = next(one for one in reversed(UNITS) if seconds >= one[1])
    return f"{seconds // length} {unit} {seconds % length // part:02} {below}"


def _width(letter: str) -> float:
    if letter in _NARROW:
        return 0.38
    if letter in _WIDE:
        return 0.95
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.0
    return 0.7 if letter.isupper() else 0.62


def shared_start(ids: Sequence[str]) -> str:
    """What all ids begin with, up to a separator; "" when that is not worth leaving out."""
    first, last = min(ids), max(ids)
    prefix = first[: next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)]
    cut = max(prefix.rfind(separator) for separator in "_-.:") + 1
    return prefix[:cut] if len(ids) > 1 and cut >= WORTHWHILE else ""

"""Long texts are kept compressed: a plan says the same words for each of its actions.

What is stored says itself which of both it is, so short ones stay readable and nothing else needs to know.
"""

from __future__ import annotations

import zlib
from typing import Final

#: Characters; less does not get shorter, or not by enough to be worth its time.
COMPRESS_FROM: Final = 1000
#: What compressed data starts with, and JSON never does.
_MARK: Final = b"x"


def packed(text: str) -> bytes:
    """JSON as it is stored."""
    found = text.encode()
    return zlib.compress(found) if len(found) >= COMPRESS_FROM else found


def unpacked(stored: bytes) -> bytes:
    """The JSON in what is stored."""
    return zlib.decompress(stored) if stored.startswith(_MARK) else stored

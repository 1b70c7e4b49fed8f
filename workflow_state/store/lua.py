"""The scripts as the server gets them: files in ``scripts``, with what all of them share put before each."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

_FOLDER = files("workflow_state.store") / "scripts"
#: Put before every script.
_PRELUDE: Final = "prelude"
#: Runs another script once for each of many actions.
_EACH: Final = "each"
#: Scripts that can be run for many actions at once, under the name ``<name>_each``.
_REPEATED: Final = ("begin", "finish")


def script_texts() -> dict[str, str]:
    """Every script by its name."""
    paths = [path for path in _FOLDER.iterdir() if path.name.endswith(".lua")]
    found = {path.name.removesuffix(".lua"): path.read_text("utf-8") for path in paths}
    prelude, each = found.pop(_PRELUDE), found.pop(_EACH)
    texts = {name: prelude + text for name, text in found.items()}
    for name in _REPEATED:
        # The very script of one action, as a function: what holds for one holds for each of many.
        texts[f"{name}_each"] = f"{prelude}local function one(KEYS, ARGV)\n{found[name]}\nend\n{each}"
    return texts

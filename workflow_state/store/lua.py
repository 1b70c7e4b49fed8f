"""The scripts as the server gets them: files in ``scripts``, with what all of them share put before each."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from workflow_state.store.keys import Keys

_FOLDER = files("workflow_state.store") / "scripts"
#: Put before every script.
_PRELUDE: Final = "prelude"
#: Runs another script once for each of many actions.
_EACH: Final = "each"
#: The scripts that run for every action spell keys of the execution, and its id, by its first key: shorter to send.
#: They can also be run for many actions at once, under the name ``<name>_each``.
SPELLED: Final = {
    "begin": ("actions", "deadlines", "attempts", "log", "ready"),
    "finish": ("actions", "deadlines", "attempts", "log", "ready", "met", "parts"),
}
#: Scripts that others are part of, which they call as functions of KEYS and ARGV.
MADE_OF: Final = {"by_hand": ("confirm", "begin", "finish")}
#: Scripts that are not sent the execution id: they have it from their first key.
FROM_KEY: Final = frozenset(name + run for name in SPELLED for run in ("", "_each"))


def script_texts(keys: Keys) -> dict[str, str]:
    """Every script by its name."""
    paths = [path for path in _FOLDER.iterdir() if path.name.endswith(".lua")]
    found = {path.name.removesuffix(".lua"): path.read_text("utf-8") for path in paths}
    prelude, each = found.pop(_PRELUDE), found.pop(_EACH)
    texts = {name: prelude + text for name, text in found.items()}
    for name, others in MADE_OF.items():
        parts = [f"local function {other}(KEYS, ARGV)\n{found[other]}\nend\n" for other in others]
        texts[name] = "".join([prelude, *parts, found[name]])
    for name, names in SPELLED.items():
        head = prelude + keys.spelled_in_lua(names)
        texts[name] = head + found[name]
        # The very script of one action, as a function: what holds for one holds for each of many.
        texts[f"{name}_each"] = f"{head}local function one(KEYS, ARGV)\n{found[name]}\nend\n{each}"
    return texts

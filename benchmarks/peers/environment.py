"""An environment for each peer, made by uv and kept beside the tools of development until it is out of date."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.peers.catalogue import Peer
from benchmarks.worker import BenchmarkError
from dev import TOOLS, DevError, find_uv, fingerprint

FOLDER = TOOLS / "peers"
#: Seconds for one peer: the largest has some sixty packages.
TIMEOUT = 300.0


def ensure(peer: Peer, folder: Path = FOLDER) -> Path:
    """The Python of the peer's environment.

    Raises:
        BenchmarkError: it could not be made; the message ends with what uv said.
    """
    home = folder / peer.name
    python, stamp = home / "bin" / "python", home / ".stamp"
    wanted = fingerprint((), sys.version, str(home), *peer.requirements)
    if stamp.exists() and stamp.read_text() == wanted and python.exists():
        return python
    shutil.rmtree(home, ignore_errors=True)
    try:
        uv = find_uv()
    except DevError as error:
        raise BenchmarkError(str(error)) from error
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(home)])
    _run([uv, "pip", "install", "--quiet", "--python", str(python), *peer.requirements])
    stamp.write_text(wanted)
    return python


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"its environment was not ready within {TIMEOUT:g} s") from error
    if done.returncode:
        raise BenchmarkError(f"its environment could not be made: {done.stderr.strip()[-300:]}")

"""The project's distributions, built from this checkout, and empty environments to install them in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

import dev

ROOT = Path(__file__).parents[1]
_PATTERNS = {"wheel": "*.whl", "sdist": "*.tar.gz"}


def build(kind: Literal["wheel", "sdist"], into: Path) -> Path:
    """A distribution of this checkout, built by its back end, which is locked with the rest."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(into)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = into.glob(_PATTERNS[kind])
    return built


def install(distribution: Path, venv: Path, extra: str = "") -> Path:
    """An empty environment with a distribution in it, its dependencies at the locked versions; its ``bin``."""
    uv = dev.find_uv()
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(venv)], check=True)
    options = ["--quiet", "--python", str(venv / "bin" / "python"), "--constraint", str(ROOT / "requirements.lock")]
    # An sdist is built with the back end of the lock, too.
    options += ["--build-constraint", str(ROOT / "requirements.lock")]
    wanted = f"{distribution}[{extra}]" if extra else str(distribution)
    subprocess.run([uv, "pip", "install", *options, wanted], check=True)
    return venv / "bin"

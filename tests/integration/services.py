"""A remote service as a process, for tests that start and kill it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import wait_until
from tests.workers import ROOT, STOP_TIMEOUT, Site


class Service:
    """One process of a remote service.

    Args:
        site: whose server and actions it uses.
        module: run with ``python -m``; it prints ``ready``.
        environ: added to the site's.
    """

    def __init__(self, site: Site, module: str = "tests.integration.remote_service", **environ: str) -> None:
        self.log = site.log_dir / f"service-{len(list(site.log_dir.glob('service-*')))}.log"
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=ROOT,
                env={**os.environ, **site.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait_ready(self.log)

    def wait_ready(self, log: Path) -> None:
        """Wait until it listens."""

        def ready() -> bool:
            assert self.process.poll() is None, log.read_text()
            return "ready" in log.read_text()

        wait_until(ready, 30, "the service is ready")

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM, wait, SIGKILL."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def running_service(site: Site, module: str = "tests.integration.remote_service", **environ: str) -> Iterator[Service]:
    """A service for as long as the block lasts."""
    service = Service(site, module, **environ)
    try:
        yield service
    finally:
        service.stop()

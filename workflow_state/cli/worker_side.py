"""The other end of :class:`~workflow_state.cli.worker.WorkerProcess`, imported by the worker that it started.

Standard input is one end of a socket pair. The worker writes a byte into it when it is ready for messages. The
starter writes nothing; the kernel closes its end when it ends, also by ``kill -9``, and then this worker ends
too, which would else wait for its server for ever.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
from typing import Any

from celery.signals import worker_ready

#: What the worker writes when it is ready.
READY = b"+"


def _tell_ready(**_: Any) -> None:
    os.write(0, READY)


def _end_with_starter() -> None:
    while os.read(0, 1):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


# Only in the main process of a worker that was started so: processes of the pool have no say, and a worker
# started by hand would take the other jobs of its shell along.
if os.getpid() == os.getpgrp() and stat.S_ISSOCK(os.fstat(0).st_mode):
    worker_ready.connect(_tell_ready, weak=False)
    threading.Thread(target=_end_with_starter, name="end-with-starter", daemon=True).start()

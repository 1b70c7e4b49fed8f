"""On what the figures were measured: without it they say little. No path and no name of a machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks.worker import CONCURRENCY

PACKAGES = ("workflow-state", "celery", "kombu", "redis", "hiredis", "pydantic", "structlog")
SERVER_SETTINGS = ("appendonly", "appendfsync")
WORKER_SETTINGS = ("task_acks_late", "worker_prefetch_multiplier", "task_reject_on_worker_lost", "task_serializer")


def facts(client: Any, conf: Any) -> dict[str, Any]:
    """Versions, cores, the server and how it and the worker are set.

    ``load``: of the machine during the minute before, all cores together; above 1 others disturb the figures.
    """
    server = client.info("server")
    name = server.get("server_name", "redis")
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "packages": {package: _version(package) for package in PACKAGES},
        "server": {
            "name": name,
            "version": server.get(f"{name}_version", server["redis_version"]),
            **{setting: client.config_get(setting)[setting] for setting in SERVER_SETTINGS},
        },
        "worker": {"processes": CONCURRENCY, **{setting: conf[setting] for setting in WORKER_SETTINGS}},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

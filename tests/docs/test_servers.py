"""The pages about servers: settings are tried on real ones, units and manifests read as their readers do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from tests.docs.documents import blocks
from tests.docs.pages import DOCS, check_scripts, worker_of, write_files
from tests.docs.test_web import answers
from tests.rabbitmq import BrokerNotFoundError, free_port, running_rabbitmq
from tests.support import wait_until
from workflow_state.embedded import EmbeddedServer
from workflow_state.embedded.binary import find_server_binary

SUPERVISION = DOCS / "howto" / "supervision.md"


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.worker
def test_rabbitmq_as_broker(tmp_path: Path, database: object) -> None:
    """With the page's settings a plan runs over RabbitMQ, a retry with its delay among it."""
    page = "howto/rabbitmq.md"
    write_files(page, tmp_path)
    try:
        with running_rabbitmq(tmp_path) as broker:
            environ = {"REDIS_URL": database(), "BROKER_URL": broker}
            with worker_of(page, tmp_path, environ):
                check_scripts(page, tmp_path, environ)
    except BrokerNotFoundError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI=true and no broker: {error}")
        pytest.skip(f"no broker: {error}")


@contextmanager
def sentinel(master_port: int, folder: Path) -> Iterator[int]:
    """The port of a Sentinel that watches a server; it ends with the block."""
    port = free_port()
    config = folder / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor mymaster 127.0.0.1 {master_port} 1\n"
        "sentinel down-after-milliseconds mymaster 5000\nsentinel failover-timeout mymaster 3000\n"
    )
    with (folder / "sentinel.log").open("wb") as output:
        process = subprocess.Popen(
            [find_server_binary(), config, "--sentinel"], stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_until(lambda: process.poll() is not None or answers(port), 20, "Sentinel answers")
        assert process.poll() is None, (folder / "sentinel.log").read_text()
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.worker
def test_sentinel(tmp_path: Path) -> None:
    """With the page's settings workers find the master by Sentinel; when it is killed they follow to its replica."""
    page = "howto/sentinel.md"
    write_files(page, tmp_path)
    with EmbeddedServer(appendonly=False) as master:
        follows = {"replicaof": f"127.0.0.1 {master.port}"}
        with EmbeddedServer(appendonly=False, settings=follows) as replica, sentinel(master.port, tmp_path) as port:
            watcher = redis.Redis(port=port)

            def known() -> dict[str, Any]:
                return watcher.sentinel_master("mymaster")

            wait_until(lambda: known()["num-slaves"] == 1, 30, "Sentinel knows the replica")
            environ = {"SENTINELS": f"sentinel://127.0.0.1:{port}"}
            with worker_of(page, tmp_path, environ):
                check_scripts(page, tmp_path, environ)
                master.kill()
                wait_until(
                    lambda: known()["port"] == replica.port and known()["flags"] == "master",
                    60,
                    "the replica is the master, and up",
                )
                check_scripts(page, tmp_path, environ)


def test_the_systemd_unit_is_valid(tmp_path: Path) -> None:
    """systemd itself finds nothing to say about it, once its paths are there."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze")
    (unit,) = blocks(SUPERVISION, "ini")
    true = shutil.which("true")
    path = tmp_path / "shop-worker@.service"
    path.write_text(unit.code.replace("/srv/shop/.venv/bin/celery", str(true)))
    done = subprocess.run([analyze, "verify", str(path)], capture_output=True, text=True, check=False, timeout=60)
    said = [line for line in (done.stdout + done.stderr).splitlines() if path.name in line]
    assert said == []


#: Field → what is below it, from the API of Kubernetes; None: a value, or a map of the user's own names.
SELECTOR = {"matchLabels": None}
METADATA = {"name": None, "labels": None}
CONTAINER: dict[str, Any] = {
    "name": None,
    "image": None,
    "command": None,
    "env": {"name": None, "value": None, "valueFrom": {"secretKeyRef": {"name": None, "key": None}}},
    "resources": {"requests": {"cpu": None, "memory": None}, "limits": {"cpu": None, "memory": None}},
    "securityContext": {"runAsNonRoot": None, "allowPrivilegeEscalation": None, "readOnlyRootFilesystem": None},
    "volumeMounts": {"name": None, "mountPath": None},
}
POD: dict[str, Any] = {
    "terminationGracePeriodSeconds": None,
    "topologySpreadConstraints": {
        "maxSkew": None,
        "topologyKey": None,
        "whenUnsatisfiable": None,
        "labelSelector": SELECTOR,
    },
    "containers": CONTAINER,
    "volumes": {"name": None, "emptyDir": None},
}
KINDS: dict[tuple[str, str], dict[str, Any]] = {
    ("apps/v1", "Deployment"): {
        "replicas": None,
        "selector": SELECTOR,
        "strategy": {"type": None, "rollingUpdate": {"maxUnavailable": None, "maxSurge": None}},
        "template": {"metadata": METADATA, "spec": POD},
    },
    ("policy/v1", "PodDisruptionBudget"): {"minAvailable": None, "maxUnavailable": None, "selector": SELECTOR},
}


def unknown_fields(found: Any, known: Any, place: str) -> list[str]:
    """Fields that the API has not, with their place."""
    if known is None:
        return []
    if isinstance(found, list):
        return [name for n, item in enumerate(found) for name in unknown_fields(item, known, f"{place}[{n}]")]
    wrong = [f"{place}.{name}" for name in found if name not in known]
    inside = [(value, known[name], f"{place}.{name}") for name, value in found.items() if name in known]
    return wrong + [name for each in inside for name in unknown_fields(*each)]


def test_the_kubernetes_manifest_is_well_formed() -> None:
    """Every field is one of the API's, labels match their selectors, volumes are there, and the grace period is set."""
    block, _ = blocks(SUPERVISION, "yaml")
    documents = list(yaml.safe_load_all(block.code))
    for found in documents:
        spec = KINDS[found["apiVersion"], found["kind"]]
        whole = {"apiVersion": None, "kind": None, "metadata": METADATA, "spec": spec}
        assert unknown_fields(found, whole, found["kind"]) == []
    deployment, budget = (found["spec"] for found in documents)
    pod = deployment["template"]
    labels = pod["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels == budget["selector"]["matchLabels"]
    (container,) = pod["spec"]["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["spec"]["volumes"]
    }
    assert pod["spec"]["terminationGracePeriodSeconds"] >= 60
    assert container["command"][0] == "celery"

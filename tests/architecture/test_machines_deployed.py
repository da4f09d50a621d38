"""Several machines: what a cluster and a balancer are given, they take."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from dicom_node.settings.load import load
from tests.support.haproxy import CONFIGURATION, environment, program

CLUSTER = "1.32"
"""The version of Kubernetes whose schemas the manifests have to keep."""
GENERATED = "lumbar-node"


@pytest.fixture
def folder(root: Path) -> Path:
    return root / "deploy" / "kubernetes" / "machines"


def documents(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what the kustomization and its components list, before it is changed."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())
    for name in listed["resources"]:
        yield from yaml.safe_load_all((folder / name).read_text())


def test_a_cluster_takes_every_manifest(folder: Path) -> None:
    found = [*documents(folder), *documents(folder / "gpu")]
    for one in found:
        kubernetes_validate.validate(one, CLUSTER, strict=True)
    kinds = {(one["kind"], one["metadata"]["name"]) for one in found}
    assert {("Deployment", name) for name in ("receive", "work", "work-gpu")} <= kinds
    assert ("PersistentVolumeClaim", "spool") in kinds


def test_a_manifest_with_a_mistake_is_noticed(folder: Path) -> None:
    (receive,) = (one for one in documents(folder) if one["kind"] == "Deployment"
                  and one["metadata"]["name"] == "receive")  # fmt: skip
    (container,) = receive["spec"]["template"]["spec"]["containers"]
    container["readinesProbe"] = container.pop("readinessProbe")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(receive, CLUSTER, strict=True)


def test_the_machines_run_the_roles_on_settings_that_are_valid(folder: Path) -> None:
    settings = load(folder / "node.yaml", analyses=["lumbar-mri"])
    assert settings.database_url.startswith("postgresql")
    assert settings.ops is not None
    for one in [*documents(folder), *documents(folder / "gpu")]:
        if one["kind"] != "Deployment":
            continue
        pod = one["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        name = one["metadata"]["name"]
        part = name.partition("-")[0]
        wanted = [part, "--config", "/etc/lumbar-node/node.yaml"]
        assert container["args"] == wanted
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports["ops"] == settings.ops.port
        assert (ports.get("dicom") == settings.node.port) is (part == "receive")
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert volumes["spool"]["persistentVolumeClaim"]["claimName"] == "spool"
        assert volumes["settings"]["configMap"]["name"] == GENERATED
        mounted = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
        assert mounted[str(settings.spool.folder)] == "spool"


def test_kustomize_makes_what_is_listed(folder: Path) -> None:
    """Where kubectl is at hand; the test above holds what it would list."""
    kubectl = shutil.which("kubectl")
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())
    (generated,) = listed["configMapGenerator"]
    assert (generated["name"], generated["files"]) == (GENERATED, ["node.yaml"])
    if kubectl is None:
        pytest.skip("no kubectl on this machine")
    made = subprocess.run(
        [kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=True
    ).stdout
    for one in yaml.safe_load_all(made):
        kubernetes_validate.validate(one, CLUSTER, strict=True)
        assert one["metadata"].get("namespace", "lumbar-node") == "lumbar-node"


def test_haproxy_takes_its_configuration(tmp_path: Path) -> None:
    found = program()
    if found is None:
        missing = "PEER MISSING: haproxy; run `make peers`"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    wrong = tmp_path / "haproxy.cfg"
    wrong.write_text(CONFIGURATION.read_text().replace("redispatch", "redisptch"))
    codes = [
        subprocess.run(
            [found, "-c", "-f", str(path)],
            env=environment(11112, 11113, 11114),
            capture_output=True,
            check=False,
        ).returncode
        for path in (CONFIGURATION, wrong)
    ]
    assert codes == [0, 1]

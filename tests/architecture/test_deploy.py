"""What `deploy` names must exist; `make image-test` runs it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from importlib.metadata import metadata
from pathlib import Path

import pytest
import yaml

from dicom_node.settings.load import load


def test_the_settings_of_image_and_unit_are_valid(root: Path) -> None:
    settings = load(root / "deploy" / "node.yaml", analyses=["lumbar-mri"])
    assert settings.spool.folder == Path("/var/lib/lumbar-node")


def test_the_unit_keeps_its_state_where_the_settings_say(root: Path) -> None:
    unit = (root / "deploy" / "lumbar-node.service").read_text()
    assert "StateDirectory=lumbar-node" in unit
    commands = re.findall(r"^Exec\w+=\S+/lumbar-node (\w+) --config (\S+)$", unit, re.M)
    assert commands == [("serve", "/etc/lumbar-node/node.yaml")]


def test_kubernetes_has_valid_settings_and_asks_what_the_node_answers(
    root: Path, tmp_path: Path
) -> None:
    """Whether a cluster takes it was asked of kubernetes-validate by hand."""
    text = (root / "deploy" / "kubernetes" / "lumbar-node.yaml").read_text()
    parts = {
        (one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(text)
    }
    config = tmp_path / "node.yaml"
    config.write_text(parts["ConfigMap", "lumbar-node"]["data"]["node.yaml"])
    settings = load(config, analyses=["lumbar-mri"])
    pod = parts["StatefulSet", "lumbar-node"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert settings.ops is not None
    assert ports == {"dicom": settings.node.port, "ops": settings.ops.port}
    asked = [
        (container[name]["httpGet"]["path"], container[name]["httpGet"]["httpHeaders"])
        for name in ("startupProbe", "livenessProbe", "readinessProbe")
    ]
    host = [{"name": "Host", "value": "localhost"}]
    assert asked == [("/live", host), ("/live", host), ("/ready", host)]
    mounts = {one["mountPath"] for one in container["volumeMounts"]}
    assert str(settings.spool.folder) in mounts
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert settings.ops.bind == "0.0.0.0"
    assert set(settings.ops.hosts) == {"lumbar-node-ops"}
    assert ("Service", "lumbar-node-ops") in parts


UNITS = ("lumbar-node.service", "lumbar-node.service.d")


@pytest.fixture
def units(root: Path, tmp_path: Path) -> Path:
    """Give the unit in a folder, with a program where it says."""
    shutil.copy(root / "deploy" / UNITS[0], tmp_path)
    path = tmp_path / UNITS[0]
    program = tmp_path / "lumbar-node"
    program.touch(mode=0o755)
    # systemd looks for the program, which an image of the tests has elsewhere.
    path.write_text(path.read_text().replace("/opt/lumbar-node/bin", str(tmp_path)))
    return tmp_path


def analyzed(verb: str, unit: Path, *options: str) -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        missing = "PEER MISSING: systemd-analyze; run `make peers`"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    run = subprocess.run(
        [program, verb, *options, str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    # It says what it does not know, and ends with 0 all the same.
    return run.stdout + run.stderr


def test_systemd_knows_every_line_of_the_unit(root: Path, units: Path) -> None:
    assert analyzed("verify", units / UNITS[0]) == ""
    shutil.copytree(root / "deploy" / UNITS[1], units / UNITS[1])
    assert analyzed("verify", units / UNITS[0]) == ""


@pytest.mark.parametrize("part", ["receive", "work"])
def test_two_units_of_one_machine_of_several_are_made_of_the_one(
    root: Path, units: Path, part: str
) -> None:
    unit = units / f"lumbar-node-{part}.service"
    shutil.copy(units / UNITS[0], unit)
    drop_ins = units / f"{unit.name}.d"
    drop_ins.mkdir()
    path = drop_ins / "machines.conf"
    shutil.copy(root / "deploy" / "lumbar-node-machines.conf", path)
    shutil.copy(root / "deploy" / UNITS[1] / "postgresql.conf", drop_ins)
    # Of the test's program, and of a user that this machine has.
    text = path.read_text()
    assert "lumbar-node %j --config /etc/lumbar-node/%j.yaml" in text
    text = text.replace("/opt/lumbar-node/bin", str(units))
    path.write_text(text.replace("User=lumbar-node", "User=daemon"))
    assert analyzed("verify", unit) == ""
    assert " --machine " not in text  # the name of the host


def test_the_unit_is_shut_in(units: Path) -> None:
    told = analyzed("security", units / UNITS[0], "--offline=true")
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", told)
    assert exposure is not None
    assert float(exposure[1]) < 2.0


def test_the_unit_survives_what_the_supervisor_can_mend(root: Path) -> None:
    unit = (root / "deploy" / UNITS[0]).read_text().splitlines()
    for line in (
        "Type=notify",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "OOMPolicy=continue",
        "RestartPreventExitStatus=2",
        "Restart=on-failure",
        "LimitCORE=0",
    ):
        assert line in unit


def test_keys_reach_a_user_that_may_read_no_file_of_root(root: Path) -> None:
    folder = root / "deploy" / UNITS[1]
    text = (folder / "tls.conf").read_text()
    handed = set(re.findall(r"^LoadCredential=([\w.]+):/etc/lumbar-node/", text, re.M))
    named = set(re.findall(r"/run/credentials/lumbar-node\.service/([\w.]+)", text))
    assert handed == named == {"tls.crt", "tls.key", "ca.crt"}
    gpu = (folder / "gpu.conf").read_text()
    assert "PrivateDevices=no" in gpu
    assert "DeviceAllow=char-nvidia* rw" in gpu


def test_the_image_asks_the_node_whether_it_is_well(root: Path) -> None:
    recipe = (root / "deploy" / "Dockerfile").read_text()
    check = re.search(r"^HEALTHCHECK .*\\\n\s+CMD (\[.*\])$", recipe, re.M)
    assert check is not None
    words = json.loads(check[1])
    assert words == ["lumbar-node", "status", "--config", "/etc/lumbar-node/node.yaml"]


def test_the_image_copies_what_there_is(root: Path) -> None:
    recipe = (root / "deploy" / "Dockerfile").read_text()
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", recipe, re.M)
        for source in line.split()[:-1]
    ]
    # The packages are beside the tests only in a checkout.
    missing = {name for name in copied if not (root / name).exists()}
    assert missing <= {"dicom_node", "analysis"}
    assert "pyproject.toml" in copied


def test_the_composition_mounts_the_spool_of_the_settings(root: Path) -> None:
    text = (root / "deploy" / "compose.yaml").read_text()
    service = yaml.safe_load(text)["services"]["lumbar-node"]
    assert "spool:/var/lib/lumbar-node" in service["volumes"]
    assert service["read_only"] is True


def test_the_overlay_for_a_gpu_changes_what_there_is(root: Path) -> None:
    folder = root / "deploy"
    services = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    over = yaml.safe_load((folder / "compose.gpu.yaml").read_text())["services"]
    assert over.keys() == services.keys()
    service = over["lumbar-node"]
    (extra,) = service["build"]["args"].values()
    assert extra.strip("[]") in metadata("lumbar-node").get_all("Provides-Extra", [])
    recipe = (folder / "Dockerfile").read_text()
    assert service["build"]["args"].keys() == set(
        re.findall(r"^ARG (\w+)", recipe, re.M)
    )
    (asked,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert (asked["driver"], asked["capabilities"]) == ("nvidia", ["gpu"])
    assert "compute" in service["environment"]["NVIDIA_DRIVER_CAPABILITIES"]


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "docs/glossary.md"])
def test_a_document_points_only_to_what_there_is(root: Path, name: str) -> None:
    path = root / name
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
    packages = ("analysis", "dicom_node")
    missing = [
        link
        for link in links
        if not (path.parent / link).exists() and not link.startswith(packages)
    ]
    assert missing == []


def promtool(*words: str, told: str | None = None) -> str:
    program = shutil.which("promtool")
    if program is None:
        missing = "PEER MISSING: promtool; run `make peers`"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    run = subprocess.run(
        [program, *words], capture_output=True, text=True, check=False, input=told
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_prometheus_takes_its_settings_and_each_alert_is_raised(root: Path) -> None:
    folder = root / "deploy" / "prometheus"
    promtool("check", "config", str(folder / "prometheus.yaml"))
    promtool("test", "rules", str(folder / "alerts_test.yaml"))
    rules = yaml.safe_load((folder / "alerts.yaml").read_text())["groups"][0]["rules"]
    tests = (folder / "alerts_test.yaml").read_text()
    for rule in rules:
        assert f'alertname="{rule["alert"]}"' in tests
        assert rule["annotations"]["what_to_do"]
    assert len(rules) == 13


def test_a_wrong_rule_is_noticed(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "prometheus"
    shutil.copytree(root / "deploy" / "prometheus", folder)
    alerts = folder / "alerts.yaml"
    alerts.write_text(
        alerts.read_text().replace("age_seconds > 30", "age_seconds > 99")
    )
    with pytest.raises(AssertionError, match="LumbarNodeStandsStill"):
        promtool("test", "rules", str(folder / "alerts_test.yaml"))


def test_image_and_composition_ask_the_same(root: Path) -> None:
    recipe = (root / "deploy" / "Dockerfile").read_text()
    check = re.search(r"^HEALTHCHECK (.*) \\\n\s+CMD (\[.*\])$", recipe, re.M)
    assert check is not None
    text = (root / "deploy" / "compose.yaml").read_text()
    composed = yaml.safe_load(text)["services"]["lumbar-node"]["healthcheck"]
    assert composed["test"] == ["CMD", *json.loads(check[2])]
    options = dict(re.findall(r"--([\w-]+)=(\w+)", check[1]))
    assert {key.replace("-", "_"): value for key, value in options.items()} == {
        key: value for key, value in composed.items() if key != "test"
    }


def test_image_and_unit_tell_their_health_on_loopback_alone(root: Path) -> None:
    settings = load(root / "deploy" / "node.yaml", analyses=["lumbar-mri"])
    assert settings.ops is not None
    assert settings.ops.bind == "127.0.0.1"
    scrape = yaml.safe_load((root / "deploy/prometheus/prometheus.yaml").read_text())
    (target,) = scrape["scrape_configs"][0]["static_configs"][0]["targets"]
    assert target == f"{settings.ops.bind}:{settings.ops.port}"

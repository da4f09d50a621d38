"""How long a certificate of ours is valid, as the node and its commands tell."""

from __future__ import annotations

import io
import math
import re
import ssl
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from dicom_node.cli.main import main
from dicom_node.tls import TlsFiles, valid_until_s
from tests.support.certificates import Identity, authority, expired, signed

DAY_S = 86400.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def ours(folder: Path) -> Identity:
    return signed(folder, "ours", authority(folder))


@pytest.fixture(scope="module")
def old(folder: Path) -> Identity:
    return expired(folder, authority(folder, "elders"))


def files(identity: Identity, *, key: Path | None = None) -> TlsFiles:
    return TlsFiles(
        certificate=identity.certificate, key=key or identity.key, authorities=None
    )


def test_a_certificate_is_valid_for_the_days_that_it_was_made_for(
    ours: Identity,
) -> None:
    left_s = valid_until_s(files(ours)) - time.time()
    assert left_s == pytest.approx(2 * DAY_S, abs=3600)


def test_of_an_expired_certificate_the_date_is_told(old: Identity) -> None:
    assert time.gmtime(valid_until_s(files(old)))[:3] == (2020, 2, 1)


def test_no_certificate_never_expires_and_one_without_its_key_is_an_error(
    ours: Identity, old: Identity
) -> None:
    none = TlsFiles(certificate=None, key=None, authorities=None)
    assert valid_until_s(none) == math.inf
    with pytest.raises(ssl.SSLError):
        valid_until_s(files(ours, key=old.key))


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("ours", 0, "warn  certificate: node.tls is valid for 2 days"),
        ("old", 1, r"WRONG certificate: node.tls expired \d+ days ago"),
    ],
)
def test_check_tells_of_a_certificate_that_expires(
    name: str, code: int, told: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    identity: Identity = request.getfixturevalue(name)
    config = tmp_path / "node.yaml"
    config.write_text(
        f"""
version: 1
node: {{ae_title: LUMBAR_AI, tls: {{certificate_file: {identity.certificate},
        key_file: {identity.key}, ca_file: {identity.certificate}}}}}
peers: {{pacs: {{ae_title: PACS, host: 127.0.0.1, port: 1, may_send: true}}}}
spool: {{folder: spool, min_free_gb: 0.1}}
routes: [{{name: plain, analysis: lumbar-mri, deliver_to: [pacs]}}]
"""
    )
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        assert main(["check", "--config", str(config)]) == code
    assert re.search(f"^{told}$", output.getvalue(), re.MULTILINE)

"""An authority of our own, and certificates that it has signed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.peers import WITHIN_S

_DAYS = "2"
_KEY = ("-newkey", "rsa:2048", "-nodes", "-days", _DAYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


def authority(folder: Path, name: str = "authority") -> Identity:
    """Make a certificate that signs others."""
    made = Identity(certificate=folder / f"{name}.pem", key=folder / f"{name}.key")
    _openssl(
        "req", "-x509", *_KEY, "-subj", f"/CN={name}",
        "-keyout", made.key, "-out", made.certificate,
    )  # fmt: skip
    return made


def signed(
    folder: Path, name: str, by: Identity, *, alternative: str = "IP:127.0.0.1"
) -> Identity:
    """Make a certificate, by default for 127.0.0.1, that an authority has signed."""
    made = Identity(certificate=folder / f"{name}.pem", key=folder / f"{name}.key")
    _openssl(
        "req", "-x509", *_KEY, "-subj", f"/CN={name}",
        "-addext", f"subjectAltName={alternative}",
        "-addext", "basicConstraints=critical,CA:FALSE",
        "-CA", by.certificate, "-CAkey", by.key,
        "-keyout", made.key, "-out", made.certificate,
    )  # fmt: skip
    return made


def expired(folder: Path, by: Identity) -> Identity:
    """Make a certificate that was valid in January 2020."""
    made = Identity(certificate=folder / "old.pem", key=folder / "old.key")
    request, config = folder / "old.csr", folder / "ca.cnf"
    (folder / "index.txt").touch()
    config.write_text(
        "[ca]\ndefault_ca=ca\n[ca]\ndatabase=index.txt\nnew_certs_dir=.\n"
        "serial=serial\ndefault_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n"
    )
    _openssl("req", "-new", *_KEY[:3], "-subj", "/CN=old", "-keyout", made.key,
             "-out", request)  # fmt: skip
    _openssl("ca", "-batch", "-notext", "-create_serial", "-config", config,
             "-startdate", "20200101000000Z", "-enddate", "20200201000000Z",
             "-cert", by.certificate, "-keyfile", by.key, "-in", request,
             "-out", made.certificate, cwd=folder)  # fmt: skip
    return made


def _openssl(*arguments: str | Path, cwd: Path | None = None) -> None:
    done = subprocess.run(
        ["openssl", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr

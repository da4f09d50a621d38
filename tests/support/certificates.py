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


def signed(folder: Path, name: str, by: Identity) -> Identity:
    """Make a certificate for 127.0.0.1 that an authority has signed."""
    made = Identity(certificate=folder / f"{name}.pem", key=folder / f"{name}.key")
    _openssl(
        "req", "-x509", *_KEY, "-subj", f"/CN={name}",
        "-addext", "subjectAltName=IP:127.0.0.1",
        "-addext", "basicConstraints=critical,CA:FALSE",
        "-CA", by.certificate, "-CAkey", by.key,
        "-keyout", made.key, "-out", made.certificate,
    )  # fmt: skip
    return made


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(
        ["openssl", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr

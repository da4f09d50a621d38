"""A real syslog server, which writes down each message that comes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.support.audit_messages import Read, read_audit_message
from tests.support.certificates import Identity
from tests.support.peers import free_port, listens, wait_until

PROGRAM = shutil.which("rsyslogd") or "/usr/sbin/rsyslogd"
_CONFIGURATION = """
global(
  workDirectory="{folder}" maxMessageSize="64k"
  defaultNetstreamDriver="gtls"
  defaultNetstreamDriverCAFile="{authority}"
  defaultNetstreamDriverCertFile="{certificate}"
  defaultNetstreamDriverKeyFile="{key}"
)
module(
  load="imtcp" streamDriver.name="gtls" streamDriver.mode="1"
  streamDriver.authMode="{mode}"
)
module(load="imudp")
template(name="whole" type="string" string="<%pri%>%rawmsg-after-pri%\\n")
ruleset(name="kept") {{ action(type="omfile" file="{log}" template="whole") }}
input(type="imtcp" port="{port}" address="127.0.0.1" ruleset="kept")
input(type="imudp" port="{port}" address="127.0.0.1" ruleset="kept")
"""


def require_rsyslog() -> None:
    """Skip loudly where there is none; CI must have it."""
    drivers = list(Path("/usr/lib").glob("*/rsyslog/lmnsd_gtls.so"))
    if Path(PROGRAM).exists() and drivers:
        return
    if os.environ.get("CI") == "true":
        pytest.fail("peers missing: rsyslog, rsyslog-gnutls; run `make peers`")
    pytest.skip("PEERS MISSING: rsyslog, rsyslog-gnutls; run `make peers`")


@dataclass
class Rsyslog:
    """rsyslogd of Debian, by TLS and UDP on one port.

    Parameters
    ----------
    mode
        `anon`, or `x509/certvalid`, which asks for the certificate of whoever sends.
    """

    folder: Path
    authority: Path
    own: Identity
    mode: str = "anon"
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Where it writes messages."""
        return self.folder / "messages.log"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        configuration = self.folder / "rsyslog.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                folder=self.folder,
                authority=self.authority,
                certificate=self.own.certificate,
                key=self.own.key,
                mode=self.mode,
                log=self.log,
                port=self.port,
            )
        )
        with (self.folder / "rsyslogd.log").open("ab") as output:
            self._process = subprocess.Popen(
                [
                    PROGRAM, "-n", "-f", str(configuration),
                    "-i", str(self.folder / "rsyslogd.pid"),
                ],
                stdout=output,
                stderr=output,
            )  # fmt: skip
        wait_until(lambda: listens(self.port), what="rsyslogd listens")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it; what it has read it writes first, unless it is killed."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    def lines(self) -> list[bytes]:
        """Return what came."""
        if not self.log.exists():
            return []
        return self.log.read_bytes().splitlines()

    def messages(self) -> list[Read]:
        """Return all audit messages that came, each of them valid."""
        return [read_audit_message(line) for line in self.lines()]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

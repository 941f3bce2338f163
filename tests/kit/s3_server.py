"""A real S3 server over directories of its own, with TLS by an authority of its own or without."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kit import ports
from kit.certificates import Authority
from kit.s3_server import program
from tests.kit.lab import until

ACCESS, SECRET, BUCKET = "test-access", "test-secret-key", "innkeeper-backups"


@dataclass
class S3Server:
    """One server. `data` holds a directory for each bucket, and a file for each object."""

    directory: Path
    port: int
    tls: bool
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """Where buckets lie."""
        return self.directory / "data"

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def authority(self) -> Authority:
        """Who signed its certificate."""
        return Authority(self.directory / "pki", name="s3-tests")

    @property
    def environment(self) -> Mapping[str, str]:
        """What a client's environment says, without credentials."""
        found = {"AWS_ENDPOINT_URL": self.url, "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "false"}
        if self.tls:
            return found | {"AWS_CA_BUNDLE": str(self.authority.own.certificate)}
        return found | {"AWS_ALLOW_HTTP": "true"}

    def start(self) -> None:
        """Start it, and wait until it listens."""
        assert program().exists(), "the S3 server is missing: run hack/s3-server"
        words = [str(program()), "--port", f"127.0.0.1:{self.port}", "--quiet"]
        if self.tls:
            pair = self.authority.pair("s3")
            words += ["--cert", str(pair.certificate), "--key", str(pair.key)]
        words += ["posix", "--sidecar", str(self.directory / "beside"), str(self.data)]
        environment = {"ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET, "PATH": "/usr/bin:/bin"}
        log = (self.directory / "log").open("ab")
        with log:
            self.process = subprocess.Popen(
                words, cwd=self.directory, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until(
            lambda: not ports.is_free(self.port, address="127.0.0.1"), what="S3 server to listen", within_s=60
        )

    def stop(self) -> None:
        """End it; what it holds stays."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=60)
            self.process = None


@contextmanager
def s3_server(directory: Path, *, tls: bool = False) -> Iterator[S3Server]:
    """Run a server with one empty bucket."""
    (port,) = ports.choose(1, address="127.0.0.1")
    server = S3Server(directory, port, tls)
    (server.data / BUCKET).mkdir(parents=True)
    (directory / "beside").mkdir()
    if tls:
        server.authority.ensure()
        server.authority.issue_server("s3", alternative_names=["127.0.0.1"])
    server.start()
    try:
        yield server
    finally:
        server.stop()

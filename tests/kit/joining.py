"""Joining as people do it: `kubectl guest join-token` by an admin, `innkeeper agent join` at a host, each a program."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path

from innkeeper.agent.identity import credentials_of
from innkeeper.kube.client import Client
from innkeeper.kube.tokens import Token

_BIN = Path(sys.executable).parent
_WITHIN_S = 100


@dataclass(frozen=True)
class Said:
    """How a program ended, and what it said."""

    code: int
    out: str
    err: str


async def run(program: str, *words: str | Path, stdin: str = "", kubeconfig: Path | None = None) -> Said:
    """Run a program of the environment to its end."""
    environment = {**os.environ, "PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}"}
    if kubeconfig is not None:
        environment["KUBECONFIG"] = str(kubeconfig)
    process = await asyncio.create_subprocess_exec(
        str(_BIN / program), *words, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment
    )
    async with asyncio.timeout(_WITHIN_S):
        out, err = await process.communicate(stdin.encode())
    return Said(process.returncode or 0, out.decode(), err.decode())


@dataclass(frozen=True)
class Machine:
    """A machine that is to be a host: where its files lie."""

    directory: Path

    @property
    def join_file(self) -> Path:
        """The join file."""
        return self.directory / "etc" / "join.json"

    @property
    def state(self) -> Path:
        """The agent's state directory."""
        return self.directory / "state"

    @property
    def token_file(self) -> Path:
        """The host's own token."""
        return self.state / "identity" / "host.token"

    @property
    def token(self) -> Token:
        """The host's own token, as it lies there now."""
        return Token.read(self.token_file.read_text())

    def client(self) -> Client:
        """Return a client as the agent would have it."""
        return Client(credentials_of(join_file=self.join_file, kubeconfig=None))

    async def join(self, line: str, *options: str) -> Said:
        """Run `innkeeper agent join` with the line on its standard input."""
        places = ("--join-file", self.join_file, "--state-dir", self.state)
        return await run("innkeeper", "agent", "join", "--token-file", "-", *places, *options, stdin=line)

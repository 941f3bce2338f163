"""The process dnsmasq of one segment: started, started anew at each change, ended. It outlives the agent, as guests do.

It is never sent a signal to read its files again: dnsmasq 2.90 breaks off at one while it holds an endless lease, and
what it holds would keep an address from its next owner.
It is known by its pid file and its command line, never by its name alone. Its files hold addresses and no secrets.
"""

import asyncio
import contextlib
import os
import signal
import stat
from pathlib import Path

import structlog

from innkeeper import whole_files
from innkeeper.agent import programs
from innkeeper.agent.net.dhcp import Leases
from innkeeper.errors import InnkeeperError
from innkeeper.to_its_end import in_thread

_DEADLINE_S = 10.0
_POLL_S = 0.02

log = structlog.get_logger()


class DhcpError(InnkeeperError):
    """The DHCP server cannot be started."""

    reason = "NetworkFailed"


class Dnsmasq:
    """One dnsmasq; its files lie in a directory of its own."""

    def __init__(self, directory: Path, *, program: str = "dnsmasq") -> None:
        self.directory = directory
        self._program = program
        self._serving: Leases | None = (
            None  # what a process is known to have read: that of a former agent, nobody knows
        )

    async def serve(self, leases: Leases) -> None:
        """Have it run with these leases. A client that asks while one process takes the other's place asks again.

        Raises:
            DhcpError: it does not start.
        """
        self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._check_readable()
        files = {"settings": leases.settings, "hosts": leases.hosts, "options": leases.options}
        same = [await in_thread(self._put, name, text) for name, text in files.items()]
        if all(same) and self._serving == leases and self.pid() is not None:
            return
        await self.end()
        await self._start()
        self._serving = leases

    def forget(self) -> None:
        """Have it started anew when it serves next, without the leases that it keeps: by DUIDs, which clients change."""
        self._serving = None

    async def end(self) -> None:
        """End it; absence is success."""
        self._serving = None
        pid = self.pid()
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(_DEADLINE_S):
                while self.pid() is not None:  # noqa: ASYNC110 - no child of ours: nobody tells of its end
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def pid(self) -> int | None:
        """Return its process, if it lives."""
        try:
            pid = int((self.directory / "pid").read_text(encoding="ascii")[:20])
            words = Path(f"/proc/{pid}/cmdline").read_bytes()[:4096].split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if self._conf_file().encode() in words else None

    def _check_readable(self) -> None:
        """It reads its files as a user without rights, and would say nothing where it cannot."""
        for each in (self.directory, *self.directory.resolve().parents):
            if not each.stat().st_mode & stat.S_IXOTH:
                raise DhcpError(f"dnsmasq cannot read {self.directory}: let others enter {each} (mode 0711)")

    def _conf_file(self) -> str:
        return f"--conf-file={self.directory / 'settings'}"

    async def _start(self) -> None:
        # It puts itself into the background once it listens, so its end here means that it serves.
        await programs.run(
            self._program,
            [self._conf_file()],
            package="dnsmasq-base",
            failure=DhcpError,
            deadline_s=_DEADLINE_S,
        )
        log.info("dhcp_started", directory=str(self.directory))

    def _put(self, name: str, text: str) -> bool:
        """Write a file if it differs; return whether it was the same."""
        path = self.directory / name
        with contextlib.suppress(OSError):
            if path.read_text() == text:
                return True
        whole_files.put(path, text.encode(), mode=0o644)
        return False

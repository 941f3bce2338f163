"""Background processes of a trial: start, stop, inspect, by a pid file.

A pid alone proves nothing, since the kernel uses numbers again: the pid file also holds the start time and
the boot, and a process counts as ours only when all three agree. A zombie counts as dead: where PID 1 does
not reap, a stopped daemon stays one for ever and `kill -0` still succeeds. Nothing else is ever signalled.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kit import steps

_POLL = 0.02
_KILLED_WITHIN = 10.0
_STATE_FIELD = 0
_START_TIME_FIELD = 19  # of what follows the command's name in /proc/PID/stat


@dataclass(frozen=True)
class Daemon:
    """One background process, known by the directory of its files and its name there."""

    name: str
    directory: Path

    @property
    def pid_file(self) -> Path:
        """Where pid, start time and boot are kept."""
        return self.directory / f"{self.name}.pid"

    @property
    def log_file(self) -> Path:
        """Where both output streams go; a restart appends."""
        return self.directory / f"{self.name}.log"

    def start(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> int:
        """Start the process in a session of its own, away from any terminal, and return its pid."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env} if env else None,
                cwd=cwd,
                start_new_session=True,
            )
        self.record(process.pid)
        # It outlives this object on purpose, which Python would warn of.
        process.returncode = 0
        return process.pid

    def record(self, pid: int) -> None:
        """Write the pid file of a process that runs already, such as one that forked itself away."""
        entry = {"pid": pid, "start_time": _start_time(pid), "boot": _boot()}
        new = self.pid_file.with_suffix(".new")
        new.write_text(json.dumps(entry))
        new.replace(self.pid_file)

    def pid(self) -> int | None:
        """Return the pid while the recorded process lives, else None."""
        try:
            entry = json.loads(self.pid_file.read_text())
            pid, start_time, boot = entry["pid"], entry["start_time"], entry["boot"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        if start_time is None or boot != _boot() or _start_time(pid) != start_time:
            return None
        return int(pid)

    def alive(self) -> bool:
        """Tell whether the recorded process lives."""
        return self.pid() is not None

    def stop(self, *, grace: float = 10.0) -> None:
        """Ask the process to end, wait, and kill it when it does not; remove the pid file."""
        for signum, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILLED_WITHIN)):
            pid = self.pid()
            if pid is None:
                break
            try:
                os.kill(pid, signum)
            except ProcessLookupError:
                break
            self._wait_for_end(patience)
        if self.alive():
            raise steps.StepError(f"{self.name} (pid {self.pid()}) does not end, even when killed")
        self.pid_file.unlink(missing_ok=True)

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines of the log, or a word that there is none."""
        try:
            text = self.log_file.read_text(errors="replace")
        except FileNotFoundError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"

    def _wait_for_end(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        while self.alive() and time.monotonic() < deadline:
            time.sleep(_POLL)


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_time(pid: int) -> int | None:
    """Return when the process started, in clock ticks since boot; None for none, and for a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name stands in brackets and may hold spaces and brackets itself.
    fields = stat.rpartition(")")[2].split()
    if fields[_STATE_FIELD] in "ZX":
        return None
    return int(fields[_START_TIME_FIELD])

"""What starts a process again that ends by itself: it ends with it, whenever it is asked, and leaves nothing behind."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kit import paths

from tests.kit import fake_programs
from tests.kit.waiting import eventually

RESTARTER = paths.SCRIPTS / "kit" / "lab" / "restarter.py"


def start(program: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, RESTARTER, program], stderr=subprocess.DEVNULL)


def gone(pid_file: Path) -> bool:
    stat = Path(f"/proc/{pid_file.read_text().strip()}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in "ZX"


def test_what_failed_is_started_again_and_what_ended_in_order_is_not(tmp_path: Path) -> None:
    program = fake_programs.put(
        tmp_path, "program", f"[ -e {tmp_path}/twice ] || {{ touch {tmp_path}/twice; exit 3; }}"
    )
    with start(program) as restarter:
        assert restarter.wait(timeout=60) == 0
    assert (tmp_path / "twice").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_process_ends_with_the_one_that_starts_it_again(tmp_path: Path, number: signal.Signals) -> None:
    running = tmp_path / "running"
    program = fake_programs.put(
        tmp_path, "program", f"echo $$ > {running}.new\nmv {running}.new {running}\nexec sleep 60"
    )
    with start(program) as restarter:
        asyncio.run(eventually(running.exists, deadline_s=60))
        restarter.send_signal(number)
        restarter.wait(timeout=60)
        asyncio.run(eventually(lambda: gone(running), deadline_s=60))


def test_it_ends_when_it_is_asked_while_it_starts_the_process(tmp_path: Path) -> None:
    """The process itself asks, in its first moment: sooner than anybody knows that it runs."""
    program = fake_programs.put(tmp_path, "program", "kill -TERM $PPID\nexec sleep 60")
    with start(program) as restarter:
        assert restarter.wait(timeout=60) != 0

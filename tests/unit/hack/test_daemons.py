"""Background processes of the scripts: what counts as alive, and that nothing else is ever signalled."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.daemons import Daemon

DEAF = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "w").close()
time.sleep(60)
"""


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_started_process_lives_until_it_is_stopped(tmp_path: Path) -> None:
    daemon = Daemon("sleeper", tmp_path)
    pid = daemon.start(["sleep", "60"])
    assert daemon.pid() == pid
    daemon.stop()
    assert not daemon.alive()
    assert not daemon.pid_file.exists()


def test_a_process_has_a_session_of_its_own(tmp_path: Path) -> None:
    daemon = Daemon("sleeper", tmp_path)
    pid = daemon.start(["sleep", "60"])
    session = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3]
    daemon.stop()
    assert int(session) == pid


def test_what_does_not_end_when_asked_is_killed(tmp_path: Path) -> None:
    daemon = Daemon("deaf", tmp_path)
    ready = tmp_path / "ready"
    daemon.start([sys.executable, "-c", DEAF, ready])
    while not ready.exists():
        assert daemon.alive()
    daemon.stop(grace=0.1)
    assert not daemon.alive()


@pytest.mark.parametrize("wrong", [{"start_time": 1}, {"start_time": None}, {"boot": "another"}])
def test_a_pid_that_was_used_again_is_never_signalled(
    tmp_path: Path, bystander: subprocess.Popen[bytes], wrong: dict[str, object]
) -> None:
    daemon = Daemon("gone", tmp_path)
    daemon.record(bystander.pid)
    assert daemon.alive()
    daemon.pid_file.write_text(json.dumps({**json.loads(daemon.pid_file.read_text()), **wrong}))
    assert not daemon.alive()
    daemon.stop()
    assert bystander.poll() is None


def test_a_zombie_counts_as_dead(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        daemon = Daemon("zombie", tmp_path)
        daemon.record(process.pid)
        process.kill()
        while " Z " not in Path(f"/proc/{process.pid}/stat").read_text():
            pass
        assert not daemon.alive()


@pytest.mark.parametrize("content", ["", "no JSON", "[]", '{"pid": 1}'])
def test_a_broken_pid_file_means_no_process(tmp_path: Path, content: str) -> None:
    daemon = Daemon("broken", tmp_path)
    daemon.pid_file.write_text(content)
    assert daemon.pid() is None


def test_the_end_of_the_log_is_at_hand(tmp_path: Path) -> None:
    daemon = Daemon("talker", tmp_path)
    assert daemon.log_tail() == "(no log)"
    daemon.start([sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr)"])
    while daemon.alive():
        pass
    assert sorted(daemon.log_tail().splitlines()) == ["err", "out"]

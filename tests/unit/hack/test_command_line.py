"""How a script ends: what it started ends with it, and an error says what to do."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from kit import command_line, needs, paths, steps

from tests.kit.waiting import eventually

CHILD = """
import os, pathlib, signal, sys, time
def end(*_):
    pathlib.Path("cleaned").touch()
    sys.exit(1)
signal.signal(signal.SIGTERM, end)
pathlib.Path("pid.new").write_text(str(os.getpid()))
pathlib.Path("pid.new").rename("pid")
time.sleep(60)
"""
SCRIPT = """
import sys, tempfile
from kit import command_line, steps
def main():
    with tempfile.TemporaryDirectory(prefix="scratch-", dir="."):
        steps.run([sys.executable, "-c", sys.argv[1]], doing="waiting")
command_line.run(main)
"""


def interrupted(directory: Path, number: signal.Signals) -> int:
    """Start the script, end it once its child runs; return its exit code."""
    # Whoever runs the tests may ignore signals, under nohup or in the background: the script shall not inherit that.
    command = ["env", "--default-signal=HUP,INT,TERM", sys.executable, "-c", SCRIPT, CHILD]
    environment = {"PYTHONPATH": str(paths.SCRIPTS)}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=directory, env=environment, stdout=quiet, stderr=quiet) as script:
        asyncio.run(eventually((directory / "pid").exists, deadline_s=60))
        script.send_signal(number)
        return script.wait(timeout=60)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_script_that_is_ended_ends_what_it_started(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    assert interrupted(tmp_path, number) == code
    assert (tmp_path / "cleaned").exists(), "the child could clean up"
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()
    assert not list(tmp_path.glob("scratch-*"))


def test_a_script_under_nohup_is_not_ended_by_a_hangup() -> None:
    script = "from kit import command_line; import signal; command_line.run(lambda: signal.raise_signal(1))"
    done = subprocess.run(
        ["sh", "-c", 'trap \'\' HUP; exec "$0" -c "$1"', sys.executable, script],
        env={"PYTHONPATH": str(paths.SCRIPTS)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout without an environment."""
    monkeypatch.setattr(paths, "VENV", tmp_path / ".venv")
    return tmp_path


@pytest.mark.parametrize(
    "act", [lambda: command_line.go_on_as("any"), needs.environment], ids=["go on", "needs"]
)
def test_a_checkout_without_its_environment_is_told_how_to_make_it(
    checkout: Path, act: Callable[[], object]
) -> None:
    with pytest.raises(steps.StepError, match="run hack/python-env"):
        act()
    assert not list(checkout.iterdir())


def test_a_broken_environment_is_no_reason_for_another_python(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    with pytest.raises(steps.StepError, match="run hack/python-env"):
        command_line.go_on_in_the_environment()


@pytest.mark.parametrize(
    ("program", "hint"), [("no-such-program", "hack/system-packages"), (".venv/bin/uv", "hack/python-env")]
)
def test_the_error_names_the_script_that_brings_the_program(tmp_path: Path, program: str, hint: str) -> None:
    with pytest.raises(steps.StepError, match=f"is not there; run {hint}"):
        steps.run([tmp_path / program], doing="trying")


def test_missing_programs_are_all_told_at_once() -> None:
    with pytest.raises(steps.StepError, match="not on PATH: no-such-a, no-such-b; run hack/system-packages"):
        needs.programs("sh", "no-such-a", "no-such-b")


@pytest.mark.parametrize("word", ["0", "-1", "1.5", "", "x", "٣"])
def test_no_number_of_things_is_refused(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = command_line.parser("x")
    parser.add_argument("--guests", type=command_line.count)
    with pytest.raises(SystemExit):
        parser.parse_args([f"--guests={word}"])
    assert "is no whole number of 1 or more" in capsys.readouterr().err
    assert parser.parse_args(["--guests=3"]).guests == 3

"""What benches start: nothing of it outlives them, however they end."""

import signal
from pathlib import Path

import pytest
from kit import one_host, paths
from kit.bind import stage
from kit.daemons import Daemon
from kit.first_guest.stage import LoopbackPlan
from kit.steps import StepError

INTERRUPTED = """
import os, pathlib, signal, sys, time
os.kill(os.getppid(), signal.SIGINT)
time.sleep(1)
pathlib.Path(sys.argv[0]).with_name("went on to its end").touch()
"""


def test_what_a_bench_that_was_killed_left_behind_is_ended_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INNKEEPER_RUN", str(tmp_path))
    directory = LoopbackPlan(name="bench-trial", hosts=("none",)).directory
    left = [Daemon(name, directory) for name in ("agents-20", "host-apis", "operator")]
    for each in left:
        each.start(["sleep", "60"])
    stage.take_down("bench-trial")
    assert not any(each.alive() for each in left)
    assert not list(tmp_path.iterdir())


def test_a_lab_is_made_to_its_end_when_the_bench_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed halfway it would leave what it has not yet written down, and no `down` would find that."""
    monkeypatch.setattr(paths, "SCRIPTS", tmp_path)
    (tmp_path / "lab").write_text(INTERRUPTED)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            one_host._hack_lab("up")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "went on to its end").exists()


def test_a_lab_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "SCRIPTS", tmp_path)
    (tmp_path / "lab").write_text("import sys; print('no bridge', flush=True); sys.exit('error: no libvirt')")
    with pytest.raises(StepError, match=r"hack/lab up failed:\nno bridge\nerror: no libvirt"):
        one_host._hack_lab("up")

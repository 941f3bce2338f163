"""What hangs in a test's set-up or tear-down is ended, and told: pytest-timeout's own limit is for the test's work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
SHORT = """
import tests.conftest

tests.conftest.SET_UP_S = 0.5
"""
HANGS = """
import threading

import pytest

@pytest.fixture
def hangs():
    {before}
    yield
    {after}

@pytest.mark.usefixtures("hangs")
def test_nothing():
    pass
"""
FOR_EVER = "threading.Event().wait()"


@pytest.mark.parametrize(("before", "after"), [(FOR_EVER, ""), ("", FOR_EVER)], ids=["set-up", "tear-down"])
def test_what_hangs_around_a_test_is_ended(tmp_path: Path, before: str, after: str) -> None:
    (tmp_path / "short.py").write_text(SHORT)
    (tmp_path / "test_hangs.py").write_text(HANGS.format(before=before, after=after))
    places = os.pathsep.join((str(tmp_path), *sys.path))
    wishes = ["-c", str(CHECKOUT / "pyproject.toml"), f"--rootdir={tmp_path}", "-p", "no:cacheprovider"]
    plugins = ["-p", "tests.conftest", "-p", "short"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *wishes, *plugins, str(tmp_path / "test_hangs.py")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Timeout (>0.5s) from pytest-timeout" in done.stdout

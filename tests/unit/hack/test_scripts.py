"""Every script of hack/: it tells what it does on any machine, and the linter reads it."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from kit import paths

SCRIPTS = [
    each
    for directory in (paths.SCRIPTS, paths.SCRIPTS / "bench")
    for each in sorted(directory.iterdir())
    if each.is_file() and not each.suffix
]


def named(script: Path) -> str:
    return str(script.relative_to(paths.CHECKOUT))


@pytest.mark.parametrize("script", SCRIPTS, ids=named)
def test_help_says_what_the_script_does_and_changes_nothing(script: Path, tmp_path: Path) -> None:
    environment = {"PATH": "", "HOME": str(tmp_path), "INNKEEPER_RUN": str(tmp_path / "run")}
    done = subprocess.run(
        [sys.executable, str(script), "--help"],
        env=environment,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    first = script.read_text().splitlines()[1].strip('"')
    assert first in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_linter_reads_every_script() -> None:
    settings = tomllib.loads((paths.CHECKOUT / "pyproject.toml").read_text())
    assert sorted(settings["tool"]["ruff"]["extend-include"]) == sorted(map(named, SCRIPTS))

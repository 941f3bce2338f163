"""hack/deb: a package for another Python than the machine's is never built."""

from pathlib import Path

import pytest
from kit import paths
from kit.steps import StepError

from tests.kit import fake_programs, hack_scripts


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout with an environment of Python 3.13."""
    monkeypatch.setattr(paths, "VENV", tmp_path / ".venv")
    fake_programs.put(tmp_path / ".venv" / "bin", "python", "echo 3.13")
    for name in ("dpkg", "dpkg-deb"):
        fake_programs.put(tmp_path / "bin", name, "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")


def check(tmp_path: Path, *, system: str) -> None:
    script = hack_scripts.load("deb")
    script.SYSTEMS_PYTHON = fake_programs.put(tmp_path, "python3", f"echo {system}")
    script.check_tools()


def test_the_environments_python_decides_what_the_package_fits(tmp_path: Path) -> None:
    check(tmp_path, system="3.13")
    with pytest.raises(
        StepError, match=r"are for Python 3\.13, the system's is 3\.11: remove \.venv and run"
    ):
        check(tmp_path, system="3.11")


def test_a_checkout_without_its_environment_is_told(tmp_path: Path) -> None:
    (tmp_path / ".venv/bin/python").unlink()
    with pytest.raises(StepError, match="run hack/python-env"):
        check(tmp_path, system="3.13")


def test_a_machine_that_is_no_debian_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StepError, match="not on PATH: dpkg, dpkg-deb"):
        check(tmp_path, system="3.13")

"""hack/python-env: what it takes for an environment that is up to date, and which Python it makes one with."""

from pathlib import Path
from types import ModuleType

import pytest
from kit import paths
from kit.steps import StepError

from tests.kit import fake_programs, hack_scripts


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script in a checkout whose environment has a Python that runs."""
    monkeypatch.setattr(paths, "VENV", tmp_path / ".venv")
    fake_programs.put(tmp_path / ".venv/bin", "python", "echo True 3.12.1")
    return hack_scripts.load("python-env")


def test_what_was_noted_is_read_again(script: ModuleType) -> None:
    script.write_stamp({"base.txt": "aa"})
    assert script.read_stamp() == {"base.txt": "aa"}


@pytest.mark.parametrize("content", ["", "{", "not JSON"])
def test_a_broken_note_means_that_all_is_made_anew(script: ModuleType, content: str) -> None:
    script.STAMP.write_text(content)
    assert script.read_stamp() == {}


def test_a_note_counts_for_nothing_once_its_python_went(script: ModuleType) -> None:
    script.write_stamp({"base.txt": "aa"})
    (script.paths.VENV / "bin/python").unlink()
    assert script.read_stamp() == {}


def test_the_first_python_that_fits_is_taken(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_programs.put(tmp_path / "bin", "python3.13", "exit 1")
    fake_programs.put(tmp_path / "bin", "python3.11", "echo True 3.11.2")
    fake_programs.put(tmp_path / "bin", "python3", "echo False 3.9.2")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("PYTHON", raising=False)
    assert script.find_python() == (str(tmp_path / "bin/python3.11"), "3.11.2")
    monkeypatch.setenv("PYTHON", str(tmp_path / "bin/python3"))
    with pytest.raises(StepError, match=r"looked for: .*bin/python3\)"):
        script.find_python()

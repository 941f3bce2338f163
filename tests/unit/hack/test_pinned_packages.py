"""Programs from a package index in a place of their own: whole or not at all, and made again when their Python went."""

import sys
from pathlib import Path

import pytest
from kit import pinned_packages, steps

from tests.kit import fake_programs


@pytest.fixture
def requirements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of requirements, and a Python whose `-m venv` and `-m pip` only note what they are asked for."""
    monkeypatch.setenv("INNKEEPER_CACHE", str(tmp_path / "cache"))
    script = (
        f'echo "$@" >> {tmp_path}/asked\n[ "$2" = pip ] || {{ mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; }}'
    )
    monkeypatch.setattr(sys, "executable", str(fake_programs.put(tmp_path, "python", script)))
    file = tmp_path / "tools.txt"
    file.write_text("tool==1 --hash=sha256:aa\n")
    return file


def asked(requirements: Path) -> list[str]:
    return requirements.with_name("asked").read_text().splitlines()


def have(requirements: Path) -> Path:
    return pinned_packages.directory("tools", requirements=requirements, doing="installing tools")


def test_it_is_installed_once_from_wheels_by_their_hashes(requirements: Path) -> None:
    assert have(requirements) == have(requirements)
    make, install = asked(requirements)
    assert make.startswith("-m venv ")
    assert "--require-hashes --only-binary :all:" in install


def test_other_versions_lie_in_another_place(requirements: Path) -> None:
    first = have(requirements)
    requirements.write_text("tool==2 --hash=sha256:bb\n")
    assert have(requirements) != first
    assert (first / "python").exists()


def test_it_is_made_again_when_its_python_went_with_an_upgrade(requirements: Path) -> None:
    (have(requirements) / "python").unlink()
    assert (have(requirements) / "python").exists()
    assert len(asked(requirements)) == 4


def test_one_that_failed_does_not_count(requirements: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    working = sys.executable
    script = Path(working).read_text() + '[ "$2" != pip ]'
    broken = fake_programs.put(requirements.parent / "broken", "python", script)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(steps.StepError, match="installing tools"):
        have(requirements)
    monkeypatch.setattr(sys, "executable", working)
    assert (have(requirements) / "python").exists()
    assert len(asked(requirements)) == 4

"""hack/system-packages: what is there is left alone, and no service starts that came along with a program."""

import os
from pathlib import Path
from types import ModuleType

import pytest
from kit.steps import StepError

from tests.kit import fake_programs, hack_scripts


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script on a machine that lacks one package, with a systemd; calls are noted."""
    note = f'echo "$(basename $0) $*" >> {tmp_path}/calls'
    fake_programs.put(
        tmp_path / "bin", "dpkg-query", 'case "$*" in *prometheus) exit 1;; *) echo "ii ";; esac'
    )
    fake_programs.put(tmp_path / "bin", "apt-get", note)
    fake_programs.put(tmp_path / "bin", "systemctl", note)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = hack_scripts.load("system-packages")
    found.SYSTEMD = tmp_path
    return found


def calls(tmp_path: Path) -> list[str]:
    file = tmp_path / "calls"
    return file.read_text().splitlines() if file.exists() else []


def test_only_what_is_missing_is_installed_and_its_service_is_not_started(
    script: ModuleType, tmp_path: Path
) -> None:
    script.install(check_only=False)
    assert calls(tmp_path) == [
        "apt-get update",
        "systemctl mask prometheus.service",
        "apt-get install --yes --no-install-recommends prometheus",
        "systemctl unmask prometheus.service",
        "systemctl disable prometheus.service",
    ]


def test_a_service_may_be_started_by_hand_after_an_installation_that_failed(
    script: ModuleType, tmp_path: Path
) -> None:
    broken = f'echo "apt-get $1" >> {tmp_path}/calls; [ "$1" = update ]'
    fake_programs.put(tmp_path / "bin", "apt-get", broken)
    with pytest.raises(StepError, match="installing packages"):
        script.install(check_only=False)
    assert "systemctl unmask prometheus.service" in calls(tmp_path)


def test_an_archive_that_fails_need_not_be_the_one(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_programs.put(tmp_path / "bin", "apt-get", '[ "$1" = install ]')
    script.install(check_only=False)
    assert "going on with the package lists that are there" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("user", "check_only", "hint"), [(0, True, "run hack/system-packages$"), (1000, False, "as root$")]
)
def test_nothing_is_installed_by_a_look_or_without_root(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    user: int,
    hint: str,
    *,
    check_only: bool,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with pytest.raises(StepError, match=rf"system packages are missing: prometheus; .*{hint}"):
        script.install(check_only=check_only)
    assert calls(tmp_path) == []


def test_a_machine_with_all_of_them_needs_no_root(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_programs.put(tmp_path / "bin", "dpkg-query", 'echo "ii "')
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    script.install(check_only=False)
    assert calls(tmp_path) == []

"""The trial boot: a guest that lets one in and then hangs is tried again, not given up with a traceback."""

from pathlib import Path

import pytest
from kit.guest_image import boot_check

from tests.kit import fake_programs


@pytest.mark.parametrize(
    ("script", "there"),
    [
        (f"echo eth0 UP {boot_check.ADDRESS}/24", True),
        ("echo eth0 DOWN", False),
        ("exit 255", False),
        ("exec sleep 60", False),
    ],
)
def test_a_login_counts_when_its_command_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, *, there: bool
) -> None:
    if "sleep" in script:
        monkeypatch.setattr(boot_check, "_LOGIN_WITHIN_S", 0.5)
    fake_programs.put(tmp_path, "ssh", script)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert boot_check._logs_in(tmp_path / "key", port=1) is there

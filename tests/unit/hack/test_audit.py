"""hack/audit: what nobody answered for is never called well."""

import json
from pathlib import Path
from typing import Any

import pytest
from kit import supply_chain
from kit.steps import StepError

from tests.kit import fake_programs, hack_scripts

WELL = {"name": "aiohttp", "version": "3.13", "vulns": []}
UNKNOWN = {"name": "uvloop", "skip_reason": "Dependency not found on PyPI and could not be audited"}
VULNERABLE = {"name": "pyyaml", "version": "5.1", "vulns": [{"id": "CVE-2020-1747"}]}


def audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, *words: str) -> None:
    """Run the script with a pip-audit that says something."""
    fake_programs.put(tmp_path, "pip-audit", f"cat <<'END'\n{said}\nEND\nexit 1")
    monkeypatch.setattr(supply_chain, "tool", lambda name: tmp_path / name)
    monkeypatch.setattr("sys.argv", ["audit", *words])
    hack_scripts.load("audit").main()


def about(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages})


def test_all_that_is_well_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    audited(tmp_path, monkeypatch, about(WELL))
    assert "no known vulnerability" in capsys.readouterr().out


def test_one_package_that_nobody_knows_of_keeps_the_rest_from_being_called_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    audited(tmp_path, monkeypatch, about(WELL, UNKNOWN))
    said = capsys.readouterr().out
    assert "NOT AUDITED: uvloop of base.txt" in said
    assert "no known vulnerability" not in said


@pytest.mark.parametrize("said", ["", "a traceback", "{}", about(), about(UNKNOWN), "[]"])
def test_no_answer_fails_where_one_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    with pytest.raises(StepError, match=r"NOT AUDITED: base\.txt, libvirt\.txt, s3\.txt"):
        audited(tmp_path, monkeypatch, said, "--required")


def test_what_is_vulnerable_fails_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StepError, match=r"pyyaml 5\.1: CVE-2020-1747"):
        audited(tmp_path, monkeypatch, about(WELL, UNKNOWN, VULNERABLE))

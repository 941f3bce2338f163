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


def audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, *words: str, error: str = "") -> None:
    """Run the script with a pip-audit that says something."""
    says = f"cat <<'END'\n{said}\nEND\ncat >&2 <<'END'\n{error}\nEND\nexit 1"
    fake_programs.put(tmp_path, "pip-audit", says)
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


NOBODY = [
    "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded",
    "requests.exceptions.ReadTimeout: HTTPSConnectionPool(host='pypi.org', port=443): Read timed out.",
    "pip_audit._service.interface.ServiceError",
    "ERROR:pip_audit._cli:Tip: your network may be blocking this service. Try another service with `-s SERVICE`",
]


@pytest.mark.parametrize(("said", "error"), [(about(UNKNOWN), ""), *(("", each) for each in NOBODY)])
def test_no_answer_is_told_and_fails_where_one_is_required(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    said: str,
    error: str,
) -> None:
    error = f"Traceback (most recent call last):\n{error}" if error.startswith("requests") else error
    audited(tmp_path, monkeypatch, said, error=error)
    assert "NOT AUDITED: base.txt, libvirt.txt, s3.txt" in capsys.readouterr().out
    with pytest.raises(StepError, match=r"NOT AUDITED: base\.txt, libvirt\.txt, s3\.txt"):
        audited(tmp_path, monkeypatch, said, "--required", error=error)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("", ""),
        ("", "pip-audit: error: unrecognized arguments: --require-hashes"),
        ("", "Traceback (most recent call last):\nKeyError: 'vulnerabilities'"),
        ("{}", ""),
        ("[]", ""),
        (about(), ""),
        ("no known vulnerabilities found", ""),
    ],
)
def test_a_pip_audit_that_fails_is_no_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, error: str
) -> None:
    """A crash, a form that changed, options that are no more: `make test` must not go on as if nobody had answered."""
    with pytest.raises(StepError, match=r"pip-audit ended with 1 over base\.txt") as failed:
        audited(tmp_path, monkeypatch, said, error=error)
    assert (error or said) in str(failed.value)


def test_a_pip_audit_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_programs.put(tmp_path, "pip-audit", "exec tail -f /dev/null")
    monkeypatch.setattr(supply_chain, "tool", lambda name: tmp_path / name)
    script = hack_scripts.load("audit")
    monkeypatch.setattr(script, "_DEADLINE_S", 0.3)
    with pytest.raises(StepError, match=r"did not end within 0\.3 s over base\.txt"):
        script.ask("base.txt")


def test_what_is_vulnerable_fails_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StepError, match=r"pyyaml 5\.1: CVE-2020-1747"):
        audited(tmp_path, monkeypatch, about(WELL, UNKNOWN, VULNERABLE))

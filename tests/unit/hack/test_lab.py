"""hack/lab, as far as it goes without a lab: names that are none, and a second call with other wishes."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.lab import machines
from kit.lab.plan import Plan
from kit.steps import StepError

from tests.kit import fake_programs, hack_scripts


@pytest.fixture
def run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INNKEEPER_RUN", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


@pytest.fixture
def lab(run_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the script with these words."""

    def run(*words: str) -> int:
        monkeypatch.setattr("sys.argv", ["lab", *words])
        return int(hack_scripts.load("lab").main())

    assert run_directory.exists()
    return run


@pytest.mark.parametrize(
    "words",
    [
        ("join",),
        ("agent", "stop", "host-a"),
        ("operator", "stop"),
        ("apiserver", "stop"),
        ("exec", "host-a", "--", "true"),
    ],
    ids=lambda words: words[0],
)
def test_a_lab_that_is_not_there_is_told_of_and_leaves_nothing(
    lab: Callable[..., int], run_directory: Path, words: tuple[str, ...]
) -> None:
    with pytest.raises(StepError, match="there is no lab none; start it with `hack/lab up --name none`"):
        lab(words[0], "--name", "none", *words[1:])
    assert not list(run_directory.iterdir())


def test_down_may_be_called_twice_and_leaves_nothing(lab: Callable[..., int], run_directory: Path) -> None:
    assert lab("down", "--name", "none") == lab("down", "--name", "none") == 0
    assert not list(run_directory.iterdir())


@pytest.mark.parametrize("words", [("agent", "stop", "host-x"), ("exec", "host-x", "--", "true")])
@pytest.mark.usefixtures("run_directory")
def test_a_host_that_the_lab_does_not_have_is_told_of(
    lab: Callable[..., int], words: tuple[str, ...]
) -> None:
    Plan(name="small").save()
    with pytest.raises(StepError, match="lab small has no host host-x; it has host-a, host-b"):
        lab(words[0], "--name", "small", *words[1:])


def test_a_lab_is_not_begun_where_its_programs_are_missing(
    lab: Callable[..., int], run_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(StepError, match=r"not on PATH: .*libvirtd; run hack/system-packages"):
        lab("up", "--name", "small")
    assert not list(run_directory.glob("*/lab"))


def test_other_wishes_for_a_lab_that_runs_are_refused(
    lab: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in machines.PROGRAMS:
        fake_programs.put(tmp_path / "bin", name, "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    Plan(name="small").save()
    with pytest.raises(StepError, match="runs with other options; run `hack/lab down --name small` first"):
        lab("up", "--name", "small", "--hosts", "host-a")


@pytest.mark.parametrize(
    ("wishes", "why"),
    [
        ({"hosts": ("../a",)}, "a host's name has"),
        ({"hosts": ("Host",)}, "a host's name has"),
        ({"hosts": ("a", "a")}, "different names"),
        ({"hosts": ()}, "different names"),
        ({"subnet": "10.0.0.0/16"}, "must be a /24"),
        ({"subnet": "10.0.0.1/24"}, "has host bits set"),
        ({"subnet": "x"}, "--subnet x"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_before_anything_is_made(
    wishes: dict[str, object], why: str
) -> None:
    with pytest.raises(StepError, match=why):
        Plan(name="small", **wishes)  # type: ignore[arg-type]  # each case names one

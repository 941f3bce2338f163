"""Programs built from Go modules: when the cache holds the right one, and which Go builds it."""

from pathlib import Path

import pytest
from kit import go_programs
from kit.go_programs import GoProgram
from kit.steps import StepError


def program(module: Path, **different: str) -> GoProgram:
    (module / "go.mod").write_text("module example\n")
    (module / "go.sum").write_text("")
    return GoProgram("tool", module, "example/tool", **different)


def put(program: GoProgram, directory: Path) -> None:
    directory.mkdir()
    (directory / program.name).write_text("#!/bin/sh\n")
    (directory / program.name).chmod(0o755)
    (directory / f"{program.name}.inputs").write_text(program.inputs())


def test_what_was_built_from_the_same_inputs_is_kept(tmp_path: Path) -> None:
    tool = program(tmp_path)
    put(tool, tmp_path / "cache")
    assert go_programs.is_built(tool, tmp_path / "cache")


def test_other_flags_or_module_files_mean_another_program(tmp_path: Path) -> None:
    tool = program(tmp_path)
    put(tool, tmp_path / "cache")
    assert not go_programs.is_built(program(tmp_path, linker_flags=""), tmp_path / "cache")
    (tmp_path / "go.sum").write_text("changed\n")
    assert not go_programs.is_built(tool, tmp_path / "cache")


def test_half_a_program_does_not_count(tmp_path: Path) -> None:
    tool = program(tmp_path)
    put(tool, tmp_path / "cache")
    (tmp_path / "cache/tool").rename(tmp_path / "cache/tool.new")
    assert not go_programs.is_built(tool, tmp_path / "cache")


def fake_go(directory: Path, *, says: str, code: int = 0) -> None:
    directory.mkdir()
    go = directory / "go"
    go.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    go.chmod(0o755)


@pytest.mark.parametrize("says", ["go version go1.26.0 linux/amd64", "go version go1.30rc1 linux/amd64"])
def test_a_go_on_path_that_is_new_enough_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    fake_go(tmp_path / "bin", says=says)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert go_programs.find_go() == tmp_path / "bin/go"


def test_a_failed_build_leaves_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_go(tmp_path / "bin", says="go version go1.26.0 linux/amd64", code=3)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    tool = program(tmp_path)
    with pytest.raises(StepError, match="ended with code 3"):
        go_programs.build([tool], tmp_path / "cache")
    assert not (tmp_path / "cache/tool").exists()

"""Archives of `kubectl guest`: what is compiled for one Python is taken out, whole, and put in again by name."""

from pathlib import Path

import pytest
from kit.plugin import archive
from kit.steps import StepError

LOCKED = """\
click==8.3.1 \\
    --hash=sha256:aa
pyyaml==6.0.3 ; python_version >= '3.11' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
ruamel-yaml-clib==0.2.15 \\
    --hash=sha256:dd
"""


def install(directory: Path, name: str, *files: str) -> None:
    """Put a library there as pip does, with the record of its files."""
    information = f"{name}-1.0.dist-info"
    record = ["../../bin/tool,,", *(f'"{file}",sha256=x,1' if "," in file else f"{file},," for file in files)]
    for file in (*files, f"{information}/METADATA"):
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        (directory / file).touch()
    (directory / information / "RECORD").write_text("\n".join([*record, f"{information}/RECORD,,"]))


def test_all_of_a_compiled_library_is_taken_out_and_nothing_of_another(tmp_path: Path) -> None:
    install(tmp_path, "click", "click/core.py")
    install(tmp_path, "PyYAML", "yaml/__init__.py", "yaml/_yaml.cpython-311.so", "yaml/a,b.py")
    install(tmp_path, "ruamel.yaml.clib", "_ruamel_yaml.cpython-311.so", "_ruamel.py")
    assert sorted(archive._take_compiled(tmp_path)) == ["pyyaml", "ruamel-yaml-clib"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["click", "click-1.0.dist-info"]


def test_what_was_taken_out_is_asked_for_again_with_all_its_hashes(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(LOCKED)
    part = archive._part(tmp_path / "requirements.txt", ["pyyaml", "ruamel-yaml-clib"]).read_text()
    assert [line.partition("==")[0] for line in part.splitlines()] == ["pyyaml", "ruamel-yaml-clib"]
    assert part.count("--hash=") == 3


def test_an_archive_never_lacks_a_compiled_library_in_silence(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(LOCKED)
    with pytest.raises(StepError, match="lacks one of pyyaml, uvloop"):
        archive._part(tmp_path / "requirements.txt", ["pyyaml", "uvloop"])

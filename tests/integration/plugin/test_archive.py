"""The archives of `kubectl guest` run with a bare Python, and their manifest is one that krew takes.

The libraries come from the package index, as for whoever builds them.
"""

import hashlib
import os
import platform
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from kit import paths

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PLATFORM = f"{sys.platform}-{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(platform.machine(), 'arm64') }"
CREATE = ["create", "web", "--image=d", "--flavor=s", "--pool=p", "-n", "x", "--dry-run=client", "-o", "name"]

pytestmark = pytest.mark.timeout(400)


def build(directory: Path) -> Path:
    """Build the archive of this machine and the manifest of it."""
    command = [
        str(paths.SCRIPTS / "plugin"),
        "--platform",
        PLATFORM,
        "--python",
        PYTHON,
        "--out",
        str(directory),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("plugin"))


@pytest.fixture
def installed(built: Path, tmp_path: Path) -> Path:
    """The program as krew installs it: unpacked, and a link to it on PATH."""
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path / "store", filter="data")
    (tmp_path / "bin").mkdir()
    link = tmp_path / "bin" / "kubectl-guest"
    link.symlink_to(tmp_path / "store" / "kubectl-guest")
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    return link


def run(program: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it with nothing of this checkout in reach."""
    environment = {"PATH": f"{program.parent}:/usr/bin:/bin", "PYTHONNOUSERSITE": "1", "PYTHONPATH": ""}
    isolated = [str(Path(sys.base_prefix) / "bin" / f"python{PYTHON}"), "-I", str(program.resolve())]
    return subprocess.run(
        [*isolated, *words], env=environment, capture_output=True, text=True, check=False, cwd=program.parent
    )


def test_it_runs_with_a_bare_python(installed: Path) -> None:
    done = run(installed, *CREATE)
    assert (done.returncode, done.stdout) == (0, "guest.innkeeper.dev/web\n"), done.stderr
    assert os.access(installed.resolve(), os.X_OK)
    assert run(installed, "get", "--no-such").returncode == 2


def test_a_python_that_it_has_no_libraries_for_is_told(installed: Path) -> None:
    library = installed.resolve().parent / "lib"
    (library / f"cp{PYTHON.replace('.', '')}").rename(library / "cp399")
    done = run(installed, "--help")
    assert done.returncode == 1
    assert done.stderr.startswith("error: kubectl guest needs one of Python 3.99; python3 is 3.")


def test_it_holds_its_licence_and_nothing_of_the_machine_that_built_it(built: Path) -> None:
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        members = packed.getmembers()
    names = {each.name for each in members}
    assert {"kubectl-guest", "LICENSE", "lib/any/innkeeper/cli/guest/commands.py"} <= names
    assert {each.uid for each in members} == {each.mtime for each in members} == {0}
    assert not [each.name for each in members if not each.isfile() or each.name.startswith(("/", ".."))]
    others = {
        name.split("/")[3] for name in names if name.startswith("lib/any/innkeeper/") and name.count("/") > 3
    }
    assert others == {"cli", "domain"} or others <= {"cli", "domain", "guest"}, (
        "no more than the plug-in imports"
    )


def test_the_same_input_makes_the_same_bytes(built: Path, tmp_path: Path) -> None:
    [first], [second] = built.glob("*.tar.gz"), build(tmp_path).glob("*.tar.gz")
    assert first.read_bytes() == second.read_bytes()


def test_the_manifest_is_one_that_krew_takes(built: Path) -> None:
    """The rules are those of krew's developer guide."""
    document: dict[str, Any] = yaml.safe_load((built / "guest.yaml").read_text())
    assert document["apiVersion"] == "krew.googlecontainertools.github.com/v1alpha2"
    assert (document["kind"], document["metadata"]["name"]) == ("Plugin", "guest")
    spec = document["spec"]
    assert re.fullmatch(r"v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", spec["version"])
    assert spec["homepage"].startswith("https://")
    assert 0 < len(spec["shortDescription"]) <= 50
    assert "\n" not in spec["shortDescription"]
    assert not re.match("(?i)kubectl|k8s", spec["shortDescription"])
    assert max(len(line) for line in (spec["description"] + spec["caveats"]).splitlines()) <= 80
    [archive] = built.glob("*.tar.gz")
    [told] = spec["platforms"]
    assert told["selector"].keys() == {"matchLabels"}
    assert "-".join(told["selector"]["matchLabels"][key] for key in ("os", "arch")) == PLATFORM
    assert told["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert told["uri"].startswith("https://")
    assert told["uri"].endswith(f"/{archive.name}")
    with tarfile.open(archive) as packed:
        assert packed.getmember(told["bin"]).mode & 0o111

"""The Debian package: what is in it runs, its unit is one, and no step of its life takes anything of guests away.

It is built whole once, which takes half a minute, and for the rest without its dependencies, which this environment has.
It is installed below a directory: this machine's own packages stay as they are.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).resolve().parents[3]
DEPENDENCIES = Path(typer.__file__).parents[1]

LIST_OWN = """
import importlib.metadata, sys
for each in importlib.metadata.distributions():
    if str(each.locate_file("")).startswith(sys.argv[1]):
        print(each.metadata["Name"] + "==" + each.version)
"""

pytestmark = pytest.mark.lab


def run(*command: str | Path, within_s: float = 110, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=within_s, check=False, env={**clean, **environment}
    )


def built(where: Path, *words: str) -> Path:
    command = (sys.executable, CHECKOUT / "hack" / "deb", *words, "--output", where)
    done = run(*command, within_s=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(where.glob("innkeeper-agent_*.deb"))


def locked_here(*names: str) -> dict[str, str]:
    """Return the versions that lock files have for this machine and its Python."""
    text = "\n".join((CHECKOUT / "requirements" / name).read_text() for name in names)
    pins = (Requirement(line) for line in re.findall(r"^(\w[^\\#\n]*==[^\\\n]*)", text, re.MULTILINE))
    return {
        canonicalize_name(each.name): str(each.specifier).removeprefix("==")
        for each in pins
        if each.marker is None or each.marker.evaluate()
    }


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("deb"), "--without-dependencies")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("whole-deb"))


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """An empty Debian below a directory: nothing but dpkg's own list."""
    (tmp_path / "var/lib/dpkg/info").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/updates").mkdir()
    (tmp_path / "var/lib/dpkg/status").touch()
    return tmp_path


def dpkg(root: Path, *words: str | Path) -> str:
    forced = ("--force-depends", "--force-script-chrootless")
    done = run("dpkg", f"--root={root}", *forced, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_installed_upgraded_and_purged_and_the_disks_of_guests_stay(package: Path, root: Path) -> None:
    dpkg(root, "--install", package)
    state, settings = root / "var/lib/innkeeper", root / "etc/innkeeper"
    assert state.stat().st_mode & 0o777 == 0o711, "QEMU passes through"
    assert settings.stat().st_mode & 0o777 == 0o700
    (state / "disk.qcow2").write_text("a guest's")
    (settings / "join.json").write_text("this host's")
    (settings / "agent.env").write_text("INNKEEPER_AGENT_MAX_BUILDS=2\n")
    dpkg(root, "--install", "--force-confdef", "--force-confold", package)
    assert (settings / "agent.env").read_text() == "INNKEEPER_AGENT_MAX_BUILDS=2\n"
    dpkg(root, "--remove", "innkeeper-agent")
    assert (settings / "agent.env").exists()
    assert "Remove them by hand" in dpkg(root, "--purge", "innkeeper-agent")
    assert not (settings / "agent.env").exists()
    assert not (root / "usr/lib/innkeeper").exists(), "nothing of the program is left"
    assert (state / "disk.qcow2").read_text() == "a guest's"
    assert (settings / "join.json").read_text() == "this host's"


def test_the_program_in_it_runs_under_the_systems_python(package: Path, root: Path) -> None:
    dpkg(root, "--install", package)
    python = root / "usr/lib/innkeeper/bin/python3"
    where = run(python, "-c", "import innkeeper; print(innkeeper.__file__)")
    assert where.stdout.startswith(f"{root}/usr/lib/innkeeper/lib/"), where.stderr
    version = run(python, "-m", "innkeeper", "version", PYTHONPATH=str(DEPENDENCIES))
    assert version.returncode == 0, version.stderr
    assert version.stdout.startswith("innkeeper ")
    assert os.access(root / "usr/bin/innkeeper", os.X_OK)


def test_the_whole_package_needs_nothing_of_python_but_what_is_in_it(whole: Path, root: Path) -> None:
    """Every package that is locked for it, at its version, and loaded by the system's Python."""
    dpkg(root, "--install", whole)
    python = root / "usr/lib/innkeeper/bin/python3"
    version = run(python, "-I", "-m", "innkeeper", "version")
    assert version.returncode == 0, version.stderr
    there = dict(
        line.split("==")
        for line in run(python, "-I", "-c", LIST_OWN, root / "usr/lib/innkeeper").stdout.split()
    )
    there = {canonicalize_name(name): version for name, version in there.items()}
    assert there.pop("innkeeper") == version.stdout.split()[1]
    assert there == locked_here("base.txt", "s3.txt")
    agent = run(
        python,
        "-I",
        "-c",
        "import innkeeper.agent, aiohttp, cryptography.x509, msgspec, obstore, pydantic_core, uvloop",
    )
    assert agent.returncode == 0, agent.stderr
    help_text = run(python, "-I", "-m", "innkeeper", "agent", "--help")
    assert help_text.returncode == 0, help_text.stderr
    assert int(run("dpkg-deb", "--field", whole, "Installed-Size").stdout) < 250_000


def test_systemd_takes_the_unit(package: Path, root: Path) -> None:
    dpkg(root, "--install", package)
    units = root / "lib/systemd/system"
    for target in Path("/lib/systemd/system").glob("*.target"):
        shutil.copy(target, units)
    done = run("systemd-analyze", "verify", f"--root={root}", "innkeeper-agent.service")
    assert (done.returncode, done.stderr) == (0, "")


def test_it_asks_for_the_python_that_it_was_built_for(package: Path) -> None:
    told = run("dpkg-deb", "--field", package, "Depends").stdout
    minor = int(run("/usr/bin/python3", "-c", "import sys; print(sys.version_info.minor)").stdout)
    assert f"python3 (>= 3.{minor}), python3 (<< 3.{minor + 1})" in told
    assert "python3-libvirt" in told

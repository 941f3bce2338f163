"""The bill of materials: what a scanner reads there is what the lock files ship, to the version and the file's digest."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kit import paths, supply_chain

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)((?:[^\n]*\\\n)*[^\n]*)", re.MULTILINE)
_DIGEST = re.compile(r"--hash=sha256:([0-9a-f]{64})")

# Its tool is fetched the first time.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the documents as a release does; return where they lie."""
    where = tmp_path_factory.mktemp("bills")
    command = [sys.executable, paths.SCRIPTS / "sbom", "--output", where]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return where


@pytest.fixture(params=supply_chain.SHIPPED)
def shipped(request: pytest.FixtureRequest, written: Path) -> tuple[str, dict[str, Any]]:
    """Read one of them."""
    name = str(request.param)
    document = written / f"innkeeper-{name.removesuffix('.txt')}.cdx.json"
    return name, json.loads(document.read_text())


def test_it_is_cyclonedx_of_innkeeper(shipped: tuple[str, dict[str, Any]]) -> None:
    _, document = shipped
    assert document["bomFormat"] == "CycloneDX"
    assert re.fullmatch(r"1\.[4-9]", document["specVersion"])
    told = document["metadata"]["component"]
    assert (told["name"], told["licenses"][0]["license"]["id"]) == ("innkeeper", "Apache-2.0")


def test_it_names_each_package_with_its_version_and_its_files(shipped: tuple[str, dict[str, Any]]) -> None:
    name, document = shipped
    locked = {
        (package.lower(), version): set(_DIGEST.findall(rest))
        for package, version, rest in _PINNED.findall((supply_chain.REQUIREMENTS / name).read_text())
    }
    assert locked
    assert all(locked.values())
    told = {(each["name"].lower(), each["version"]): _digests(each) for each in document["components"]}
    assert told == locked
    for each in document["components"]:
        assert each["purl"].startswith(f"pkg:pypi/{each['name'].lower()}@{each['version']}")


def _digests(component: dict[str, Any]) -> set[str]:
    hashes = (each for reference in component["externalReferences"] for each in reference.get("hashes", []))
    return {each["content"] for each in hashes if each["alg"] == "SHA-256"}

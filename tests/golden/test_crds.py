"""What is generated is checked in: the CRDs and the reference are as the models say, and nothing else lies there."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from innkeeper.api import crdgen, reference
from innkeeper.api.model import Kind
from innkeeper.api.v1alpha1 import KINDS

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
def test_crd_is_as_checked_in(kind: type[Kind]) -> None:
    assert crdgen.render(kind) == (CHECKOUT / "crds" / crdgen.file_name(kind)).read_text()


@pytest.mark.parametrize("directory", ["crds", "charts/innkeeper/files/crds"])
def test_no_other_crd_lies_there(directory: str) -> None:
    assert {path.name for path in (CHECKOUT / directory).iterdir()} == {
        crdgen.file_name(kind) for kind in KINDS
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
def test_the_charts_copy_is_the_same(kind: type[Kind]) -> None:
    copy = CHECKOUT / "charts" / "innkeeper" / "files" / "crds" / crdgen.file_name(kind)
    assert copy.read_text() == (CHECKOUT / "crds" / crdgen.file_name(kind)).read_text()


def test_reference_is_as_checked_in() -> None:
    sources = sorted((CHECKOUT / "charts" / "innkeeper" / "files" / "policies").glob("*.yaml"))
    policies = [document for path in sources for document in yaml.safe_load_all(path.read_text())]
    assert reference.render(KINDS, policies) == (CHECKOUT / "docs" / "reference" / "api.md").read_text()


def test_check_names_what_was_changed_by_hand(tmp_path: Path) -> None:
    for part in ("hack", "operator", "crds", "charts", "docs/reference"):
        ignore = shutil.ignore_patterns("__pycache__", "control-plane.d", "guest-image.d")
        shutil.copytree(CHECKOUT / part, tmp_path / part, ignore=ignore)
    command = [sys.executable, str(tmp_path / "hack" / "generate"), "--check"]
    clean = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert clean.returncode == 0, clean.stderr

    guests = tmp_path / "crds" / "innkeeper.dev_guests.yaml"
    guests.write_text(guests.read_text().replace("maxItems: 16", "maxItems: 17"))
    (tmp_path / "crds" / "innkeeper.dev_things.yaml").write_text("{}\n")
    changed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert changed.returncode == 1
    assert "crds/innkeeper.dev_guests.yaml" in changed.stderr
    assert "crds/innkeeper.dev_things.yaml" in changed.stderr

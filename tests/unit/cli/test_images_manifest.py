"""`innkeeper images manifest`: what it writes is what the image server makes, and what it prints goes into a spec."""

import hashlib
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from innkeeper.cli.main import app
from innkeeper.domain.images import manifest

CONTENT = b"guest" * 200_000


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_it_writes_the_manifest_beside_the_image(tmp_path: Path, algorithm: str) -> None:
    image = tmp_path / "disk.raw"
    image.write_bytes(CONTENT)
    answer = CliRunner().invoke(app, ["images", "manifest", str(image), "--digest", algorithm])
    assert answer.exit_code == 0, answer.output
    spec = yaml.safe_load(answer.stdout)
    assert spec["digest"] == f"{algorithm}:{hashlib.new(algorithm, CONTENT).hexdigest()}"
    encoded = (tmp_path / "disk.raw.manifest.json").read_bytes()
    assert spec["manifest"]["digest"] == f"sha256:{hashlib.sha256(encoded).hexdigest()}"
    chunks = manifest.read(encoded, digest=spec["digest"], size=len(CONTENT))
    assert chunks.matches(0, CONTENT[: chunks.chunk_bytes])


def test_it_says_what_is_wrong(tmp_path: Path) -> None:
    missing = CliRunner().invoke(app, ["images", "manifest", str(tmp_path / "nothing.raw")])
    assert missing.exit_code == 1
    assert "nothing.raw" in missing.stderr
    image = tmp_path / "disk.raw"
    image.write_bytes(CONTENT)
    wrong = CliRunner().invoke(app, ["images", "manifest", str(image), "--digest", "md5"])
    assert wrong.exit_code == 2
    assert "sha512" in wrong.stderr
    assert not (tmp_path / "disk.raw.manifest.json").exists()


def test_its_help_is_found_from_the_commands() -> None:
    answer = CliRunner().invoke(app, ["images", "manifest", "--help"], env={"COLUMNS": "200"})
    assert answer.exit_code == 0
    assert "--output" in answer.output
    assert (
        "innkeeper images manifest: "
        in CliRunner().invoke(app, ["images", "--help"], env={"COLUMNS": "200"}).output
    )

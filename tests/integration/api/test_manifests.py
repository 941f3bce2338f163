"""Every manifest that the documentation shows is admitted as it stands."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.api.conftest import Server
from tests.integration.api.objects import DIGEST, KEY
from tests.kit.install import CHECKOUT

pytestmark = pytest.mark.control_plane

DOCS = CHECKOUT / "docs"
FENCED = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILLED_IN = {"@DIGEST@": DIGEST, "@SSH_KEY@": KEY}


def manifests() -> list[tuple[Path, dict[str, Any]]]:
    """Return each of our objects in the manifests of the documentation, placeholders filled in."""
    found = []
    for path in sorted((*DOCS.rglob("*.yaml"), *DOCS.rglob("*.yaml.in"), *DOCS.rglob("*.md"))):
        text = path.read_text()
        if path.suffix == ".md":
            text = "---\n".join(FENCED.findall(text))
        for placeholder, value in FILLED_IN.items():
            text = text.replace(placeholder, value)
        documents = [document for document in yaml.safe_load_all(text) if document]
        ours = (body for body in documents if str(body.get("apiVersion")).startswith("innkeeper.dev/"))
        found += [(path, body) for body in ours]
    return found


@pytest.mark.parametrize(
    ("path", "body"),
    manifests(),
    ids=[f"{path.name}-{body['metadata']['name']}" for path, body in manifests()],
)
def test_is_admitted(server: Server, path: Path, body: dict[str, Any]) -> None:
    if body["kind"] in ("Guest", "Image"):
        body["metadata"].setdefault("namespace", "default")
    answer = server.create(body)
    assert answer.status == 201, f"{path.relative_to(CHECKOUT)}: {answer.message}"

"""The tutorial's manifests, ready to apply: digest of the built image and an ssh key of the demo's own.

Manifests without blanks are used as they stand. Nothing is written into the checkout's tracked files.
"""

import json
import subprocess
from pathlib import Path

from kit import paths, steps
from kit.lab.plan import Plan

TUTORIAL = paths.CHECKOUT / "docs" / "tutorial"


def render(plan: Plan) -> list[Path]:
    """Return the manifests in the order to apply them."""
    image = _image()
    blanks = {
        "@DIGEST@": f"sha256:{image['qcow2']['sha256']}",
        "@SSH_KEY@": f"{private_key(plan).with_suffix('.pub').read_text().strip()}",
    }
    target = plan.directory / "manifests"
    target.mkdir(parents=True, exist_ok=True)
    rendered = list(TUTORIAL.glob("*.yaml"))
    for template in TUTORIAL.glob("*.yaml.in"):
        text = template.read_text()
        for blank, value in blanks.items():
            text = text.replace(blank, value)
        path = target / template.name.removesuffix(".in")
        path.write_text(text)
        rendered.append(path)
    return sorted(rendered, key=lambda path: path.name)


def private_key(plan: Plan) -> Path:
    """Return the ssh key of the demo; made once."""
    path = plan.directory / "ssh" / "id_ed25519"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "innkeeper-demo", "-f", str(path)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def _image() -> dict[str, dict[str, str]]:
    try:
        found: dict[str, dict[str, str]] = json.loads(
            (paths.cache_root() / "guest-image" / "debian-12.json").read_text()
        )
    except FileNotFoundError as error:
        raise steps.StepError("the guest image is not built; run hack/guest-image") from error
    return found

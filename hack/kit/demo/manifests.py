"""The tutorial's manifests, ready to apply: digest of the built image and an ssh key of the demo's own.

Manifests without blanks are used as they stand. Nothing is written into the checkout's tracked files.
"""

import json
import subprocess
from pathlib import Path

from kit import paths, steps
from kit.lab.plan import DEFAULT_SUBNET, Plan

TUTORIAL = paths.CHECKOUT / "docs" / "tutorial"


def render(plan: Plan) -> list[Path]:
    """Return the manifests in the order to apply them."""
    image = _image()
    blanks = {
        "@DIGEST@": f"sha256:{image['qcow2']['sha256']}",
        "@SSH_KEY@": f"{private_key(plan).with_suffix('.pub').read_text().strip()}",
    }
    if plan.subnet != DEFAULT_SUBNET:
        blanks[_prefix(DEFAULT_SUBNET)] = _prefix(plan.subnet)
    target = plan.directory / "manifests"
    target.mkdir(parents=True, exist_ok=True)
    rendered = []
    for source in (*TUTORIAL.glob("*.yaml"), *TUTORIAL.glob("*.yaml.in")):
        path, text = source, source.read_text()
        if any(blank in text for blank in blanks):
            for blank, value in blanks.items():
                text = text.replace(blank, value)
            path = target / source.name.removesuffix(".in")
            path.write_text(text)
        rendered.append(path)
    return sorted(rendered, key=lambda path: path.name)


def _prefix(subnet: str) -> str:
    """Return what all addresses of a /24 begin with: `10.77.0.`."""
    return subnet.rpartition(".")[0] + "."


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

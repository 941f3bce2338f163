"""A kubeconfig file that needs nothing beside it: certificates are inside, as base64.

Written as JSON, which every reader of YAML takes, so that no YAML library is needed. Only its owner may
read it.
"""

import base64
import json
import os
from pathlib import Path

from kit.certificates import Pair


def write(path: Path, *, server: str, authority: Path, client: Pair, user: str, cluster: str) -> None:
    """Write the file whole: it holds a private key, so it is private before it holds anything."""
    access = {"server": server, "certificate-authority-data": _encoded(authority)}
    identity = {
        "client-certificate-data": _encoded(client.certificate),
        "client-key-data": _encoded(client.key),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": access}],
        "users": [{"name": user, "user": identity}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
        "current-context": cluster,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(document, file, indent=2)
        file.write("\n")
    new.replace(path)


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()

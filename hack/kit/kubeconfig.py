"""A kubeconfig file that needs nothing beside it: certificates are inside, as base64.

Written as JSON, which every reader of YAML takes, so that no YAML library is needed. Only its owner may
read it.
"""

import base64
import json
from pathlib import Path

from kit import private_files
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
    private_files.write(path, json.dumps(document, indent=2) + "\n")


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()

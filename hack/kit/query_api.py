"""The query API in a trial: the operator's certificate for it, and the objects that lead an API server to the operator.

The Service has no selector: its one endpoint is an address of this machine. An API server that does not reach it keeps
the APIService unavailable, and then no namespace ends that is deleted, so whoever registers it looks whether it works.
Objects that somebody else made are never touched: a label tells them apart.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit import paths
from kit.certificates import Authority, Pair
from kit.kubectl import Kubectl

API_SERVICE = "v1alpha1.query.innkeeper.dev"
NAMESPACE = "innkeeper-system"
SERVICE = "innkeeper-query"
PORT = 9443
MADE_HERE = {"innkeeper.dev/made-by": "hack-lab"}
FILES = paths.CHECKOUT / "charts" / "innkeeper" / "files" / "query"


@dataclass(frozen=True)
class Availability:
    """What the API server says of the query API."""

    available: bool
    message: str


def certificate(authority: Authority, *, address: str) -> Pair:
    """Return the operator's certificate for its query port; made once, since the names in it never change."""
    pair = authority.pair("query")
    if not pair.certificate.exists():
        authority.ensure()
        host = f"{SERVICE}.{NAMESPACE}.svc"
        authority.issue_server("query", alternative_names=[host, f"{host}.cluster.local", address])
    return pair


def register(kubectl: Kubectl, *, address: str, port: int, authority: Path) -> None:
    """Lead the API server to the operator at this address; may be called again."""
    bundle = base64.b64encode(authority.read_bytes()).decode()
    patch = json.dumps({"metadata": {"labels": MADE_HERE}, "spec": {"caBundle": bundle}})
    source = str(FILES / "apiservice.yaml")
    whole = kubectl.run("patch", "--local", "--type=merge", "-f", source, "-p", patch, "-o", "json")
    objects = [_endpoints(address, port), json.loads(whole)]
    kubectl.apply(FILES / "service.yaml")
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    kubectl.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)


def is_anothers(kubectl: Kubectl) -> bool:
    """Tell whether somebody registered the query API who is not us, such as a real installation."""
    found = kubectl.get("apiservice", API_SERVICE)
    return found is not None and not MADE_HERE.items() <= found["metadata"].get("labels", {}).items()


def withdraw(kubectl: Kubectl) -> None:
    """Take back what was registered here, the APIService first: without it nobody looks for the rest."""
    if is_anothers(kubectl):
        return
    kubectl.run("delete", "--ignore-not-found", "apiservice", API_SERVICE)
    for kind in ("endpointslice", "service"):
        kubectl.run("delete", "--ignore-not-found", "-n", NAMESPACE, kind, SERVICE)


def availability(kubectl: Kubectl) -> Availability | None:
    """Ask the API server; None where the query API is not registered."""
    found = kubectl.get("apiservice", API_SERVICE)
    if found is None:
        return None
    conditions = found.get("status", {}).get("conditions", [])
    said = next((each for each in conditions if each["type"] == "Available"), None)
    if said is None:
        return Availability(available=False, message="the API server has not looked yet")
    return Availability(available=said["status"] == "True", message=str(said.get("message", "")))


def _endpoints(address: str, port: int) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": SERVICE, "endpointslice.kubernetes.io/managed-by": "hack-lab"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE, "labels": labels},
        "addressType": "IPv6" if ":" in address else "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }

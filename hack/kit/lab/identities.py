"""The identity of each process: a token of its own service account, and nothing of the administrator's.

The lab plays the part of a chart: it asks for tokens, writes them to files that the processes read again, and
asks anew when an account was deleted and made again, or when the token is old.
"""

import base64
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kit import locks, private_files, steps
from kit.kubectl import Kubectl
from kit.lab.plan import Plan

SYSTEM_NAMESPACE = "innkeeper-system"
OPERATOR = "innkeeper-operator"
IMAGES = "innkeeper-images"
AGENT = "agent"
TOKEN_LIFETIME = "24h"  # noqa: S105 - a duration, not a secret
RENEWED_AFTER = 8 * 3600.0


@dataclass(frozen=True)
class Account:
    """A service account and the file that its token goes to."""

    namespace: str
    name: str
    token_file: Path

    @property
    def _note(self) -> Path:
        return self.token_file.with_suffix(".account")

    def renew(self, kubectl: Kubectl) -> bool:
        """Ask for a token unless the one on file is good; tell whether the account is there.

        One process at a time: the token and the note of whose it is belong together.
        """
        waiting_for = f"whoever renews {self.token_file.name}"
        with locks.exclusive(self.token_file.with_suffix(".lock"), waiting_for=waiting_for):
            return self._renew(kubectl)

    def _renew(self, kubectl: Kubectl) -> bool:
        found = kubectl.get("serviceaccount", self.name, "-n", self.namespace)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return False
        uid = found["metadata"]["uid"]
        if self._is_good(uid):
            return True
        token = kubectl.run(
            "create", "token", self.name, "-n", self.namespace, f"--duration={TOKEN_LIFETIME}"
        )
        private_files.write(self.token_file, token.strip())
        private_files.write(self._note, uid)
        return True

    def _is_good(self, uid: str) -> bool:
        try:
            young = time.time() - self.token_file.stat().st_mtime < RENEWED_AFTER
            return young and self._note.read_text() == uid
        except FileNotFoundError:
            return False


def accounts(plan: Plan) -> list[Account]:
    """Return the accounts of all processes of the lab."""
    system = [
        Account(SYSTEM_NAMESPACE, each, plan.directory / f"{each}.token") for each in (OPERATOR, IMAGES)
    ]
    return [*system, *(agent_account(plan, host) for host in plan.hosts)]


def agent_account(plan: Plan, host: str) -> Account:
    """Return the account of a host's agent."""
    return Account(f"host-{host}", AGENT, plan.host_directory(host) / "agent.token")


def write_kubeconfig(plan: Plan, account: Account) -> Path:
    """Write a kubeconfig that names the account's token file; return its path."""
    cluster = _cluster(plan)
    path = account.token_file.with_suffix(".kubeconfig")
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": account.name, "user": {"tokenFile": str(account.token_file)}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": account.name}}],
        "current-context": "lab",
    }
    private_files.write(path, json.dumps(document, indent=2))
    return path


def write_join_file(plan: Plan, host: str, *, server: str | None, order_keys: dict[str, str]) -> Path:
    """Write what an agent needs to join: where the API server is, its authority, the keys that sign orders."""
    cluster = _cluster(plan)
    path = plan.host_directory(host) / "join.json"
    document = {
        "host": host,
        "server": server or cluster["server"],
        "caData": cluster["certificate-authority-data"],
        "tokenFile": str(agent_account(plan, host).token_file),
        "orderKeys": order_keys,
    }
    if server:
        document["tlsServerName"] = cluster.get("tls-server-name") or urlsplit(cluster["server"]).hostname
    private_files.write(path, json.dumps(document, indent=2))
    return path


def order_keys(kubectl: Kubectl, host: str) -> dict[str, str] | None:
    """Return the public keys that the operator tells this host, or None while it tells none."""
    found = kubectl.get("hostagents.innkeeper.dev", "host", "-n", f"host-{host}")
    keys = (found or {}).get("spec", {}).get("orderKeys", [])
    return {each["id"]: each["publicKey"] for each in keys} or None


def _cluster(plan: Plan) -> dict[str, Any]:
    """Return the cluster of the administrator's kubeconfig, its authority inside."""
    text = Kubectl(plan.admin_kubeconfig).run("config", "view", "--raw", "--minify", "-o", "json")
    cluster: dict[str, Any] = json.loads(text)["clusters"][0]["cluster"]
    if authority := cluster.pop("certificate-authority", None):
        cluster["certificate-authority-data"] = base64.b64encode(Path(authority).read_bytes()).decode()
    if "certificate-authority-data" not in cluster:
        raise steps.StepError(f"{plan.admin_kubeconfig} names no certificate authority; the lab needs one")
    return cluster

"""Installs CRDs, admission policies and rights into an API server, as a chart would.

It returns only once every policy is in force: the API server takes new policies up a moment after they were
written, and a test that ran into that moment would see requests admitted that should be refused.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
CRDS = CHECKOUT / "crds"
CHART_FILES = CHECKOUT / "charts" / "innkeeper" / "files"
_DEADLINE_S = 60.0
_RBAC = "rbac.authorization.k8s.io"
# With every right, so that nothing but a policy refuses it, also where a release took its own rights along.
_OPERATOR = (
    "--as=system:serviceaccount:innkeeper-system:innkeeper-operator",
    "--as-group=system:masters",
)

_GUEST_SPEC = {"image": {"name": "canary"}, "flavor": "canary", "interfaces": [{"pool": "canary"}]}
_ADDRESS_SPEC = {"pool": "canary", "addressSpace": "canary", "address": "192.0.2.1"}
_ASSIGNMENT_SPEC = {
    "order": "canary",
    "guest": {"namespace": "default", "name": "canary"},
    "guestId": "canary",
    "desired": "Stopped",
    "epoch": 0,
    "serial": 0,
}


class NotInForceError(AssertionError):
    """A policy did not come into force in time."""


def install(kubeconfig: Path) -> None:
    """Apply everything and wait until it is in force; may be called again."""
    apply(kubeconfig, CRDS)
    crds = [f"crd/{path.stem.partition('_')[2]}.innkeeper.dev" for path in sorted(CRDS.glob("*.yaml"))]
    run(kubeconfig, "wait", "--for=condition=Established", f"--timeout={_DEADLINE_S:.0f}s", *crds)
    apply(kubeconfig, CHART_FILES / "rbac", CHART_FILES / "policies")
    wait_for_policies(kubeconfig)


def apply(kubeconfig: Path, *paths: Path) -> None:
    """Apply manifests from files and directories."""
    sources = [f"--filename={path}" for path in paths]
    run(kubeconfig, "apply", "--server-side", "--force-conflicts", *sources)


def ask_every_kind(kubeconfig: Path) -> None:
    """Ask for the objects of every kind of ours, so that the API server has opened their stores.

    It opens one at the first request. Where the deletion of a CRD is that request, its finalizer finds the store not
    ready, may lose its turn to try again, and then comes back to it only after five minutes.
    """
    for crd in CRDS.glob("*.yaml"):
        plural = crd.stem.partition("_")[2]
        run(kubeconfig, "get", "--raw", f"/apis/innkeeper.dev/v1alpha1/{plural}")


def wait_for_policies(kubeconfig: Path) -> None:
    """Try, without writing, what each policy must change or refuse, until it does.

    Raises:
        NotInForceError: when one still does not after the deadline.
    """
    deadline = time.monotonic() + _DEADLINE_S
    waiting = dict(_canaries())
    while waiting:
        for policy, canary in list(waiting.items()):
            tried = _try(kubeconfig, canary, who=_OPERATOR if policy.startswith("operator-") else ())
            if policy in tried.stdout + tried.stderr:
                del waiting[policy]
        if waiting and time.monotonic() > deadline:
            raise NotInForceError(f"after {_DEADLINE_S:.0f} s not in force: {', '.join(waiting)}")


def kubeconfig_of(kubeconfig: Path, *, namespace: str, service_account: str, to: Path) -> Path:
    """Write a kubeconfig that acts as a ServiceAccount, with a token of one hour, and return its path."""
    view = json.loads(run(kubeconfig, "config", "view", "--raw", "--minify", "--output=json").stdout)
    token = run(kubeconfig, "create", "token", service_account, f"--namespace={namespace}", "--duration=1h")
    view["users"] = [{"name": view["users"][0]["name"], "user": {"token": token.stdout.strip()}}]
    to.touch(mode=0o600)
    to.write_text(json.dumps(view))
    return to


def run(
    kubeconfig: Path, *arguments: str, stdin: str | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run kubectl.

    Raises:
        AssertionError: when it fails, unless `check` is off.
    """
    beside = Path(sys.executable).parent
    program = shutil.which("kubectl", path=f"{beside}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    assert program, "kubectl is missing; hack/python-env installs it"
    command = [program, f"--kubeconfig={kubeconfig}", "--request-timeout=30s", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)
    assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done


def _canaries() -> Mapping[str, dict[str, Any]]:
    """Return, by the text that shows a policy at work, what to try."""
    return {
        '"finalizers":["innkeeper.dev/guest"]': _object("Guest", _GUEST_SPEC),
        "guest-id.innkeeper.dev": _object("Guest", _GUEST_SPEC, {"innkeeper.dev/id": "canary"}),
        "guest-force-delete.innkeeper.dev": _object("Guest", _GUEST_SPEC, {"innkeeper.dev/force-delete": ""}),
        "ipaddresses.innkeeper.dev": _object("IPAddress", _ADDRESS_SPEC)
        | {"metadata": {"name": "canary.192.0.2.1"}},
        "assignments.innkeeper.dev": _object("Assignment", _ASSIGNMENT_SPEC),
        "operator-secrets.innkeeper.dev": _core("v1", "Secret"),
        "operator-places.innkeeper.dev": _core("v1", "ServiceAccount"),
        "operator-bindings.innkeeper.dev": _core(f"{_RBAC}/v1", "RoleBinding")
        | {"roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "view"}},
    }


def _object(
    kind: str, spec: Mapping[str, Any], annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    metadata = {"name": "canary", "namespace": "default", "annotations": dict(annotations or {})}
    return {"apiVersion": "innkeeper.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": dict(spec)}


def _core(api_version: str, kind: str) -> dict[str, Any]:
    metadata = {"name": "canary", "namespace": "default"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _try(
    kubeconfig: Path, canary: Mapping[str, Any], *, who: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    arguments = ("create", "--dry-run=server", "--filename=-", "--output=jsonpath={.metadata}")
    return run(kubeconfig, *who, *arguments, stdin=json.dumps(canary), check=False)

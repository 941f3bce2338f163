"""The query API of a lab: the operator answers on this machine's own address in the lab's network.

The lab's own control plane runs on this machine and reaches it. A person's cluster may not: there it is tried, and taken
back where it does not work, since an API that nobody answers keeps namespaces from ending.
"""

import time
from pathlib import Path

from kit import query_api, steps
from kit.certificates import Authority
from kit.kubectl import Kubectl
from kit.lab.plan import Plan

AVAILABLE_WITHIN = 30.0
_TRIED_FOR = 15.0
_POLL = 0.2
_ELSEWHERE = (
    "The query API is not there: the API server of your cluster does not reach this machine at {address} ({why}).\n"
    "    `kubectl guest` needs it; all else works. It needs a route to that address, and kube-proxy beside the API\n"
    "    server or its flag --enable-aggregator-routing; docs/how-to/use-your-own-cluster.md tells more."
)
_ANOTHERS = "The query API of your cluster is another installation's; this lab leaves it alone."


def arguments(plan: Plan) -> list[str | Path]:
    """Return the operator's options, with a certificate of the lab's own authority."""
    pair = query_api.certificate(_authority(plan), address=plan.gateway)
    where: list[str | Path] = ["--query-listen", plan.gateway, "--query-port", str(query_api.PORT)]
    return [*where, "--query-certificate-file", pair.certificate, "--query-key-file", pair.key]


def register(plan: Plan) -> None:
    """Lead the API server to the operator, unless somebody else's operator answers there."""
    kubectl = Kubectl(plan.admin_kubeconfig)
    if plan.kubeconfig and query_api.is_anothers(kubectl):
        steps.say(_ANOTHERS)
        return
    authority = _authority(plan)
    authority.ensure()
    query_api.register(
        kubectl, address=plan.gateway, port=query_api.PORT, authority=authority.own.certificate
    )


def settle(plan: Plan) -> None:
    """Wait until the API server answers queries; on a person's cluster take it back where it does not.

    Raises:
        StepError: when the lab's own API server does not.
    """
    kubectl = Kubectl(plan.admin_kubeconfig)
    if plan.kubeconfig and (query_api.availability(kubectl) is None or query_api.is_anothers(kubectl)):
        return
    why = _wait(kubectl, within=_TRIED_FOR if plan.kubeconfig else AVAILABLE_WITHIN)
    if why is None:
        return
    address = f"{plan.gateway}:{query_api.PORT}"
    if not plan.kubeconfig:
        raise steps.StepError(f"the API server does not reach the operator's query API at {address}: {why}")
    query_api.withdraw(kubectl)
    steps.say(_ELSEWHERE.format(address=address, why=why))


def withdraw(plan: Plan) -> None:
    """Take it back from a person's cluster; the lab's own control plane ends with all that is in it."""
    if not plan.kubeconfig:
        return
    try:
        query_api.withdraw(Kubectl(plan.admin_kubeconfig))
    except steps.StepError as error:
        left = f"the APIService {query_api.API_SERVICE}"
        steps.say(f"{left} may still be in your cluster; delete it, or namespaces never end: {error}")


def state(plan: Plan) -> tuple[bool, str]:
    """Tell whether all is as it should be, and in words what the API server says."""
    try:
        said = query_api.availability(Kubectl(plan.admin_kubeconfig))
    except steps.StepError as error:
        return False, f"unknown: {error}"
    if said is None:
        return bool(plan.kubeconfig), "not registered"
    return said.available, "available" if said.available else f"not available: {said.message}"


def _wait(kubectl: Kubectl, *, within: float) -> str | None:
    """Return None once it is available, else why it is not when the time is over."""
    deadline = time.monotonic() + within
    while True:
        said = query_api.availability(kubectl)
        if said is not None and said.available:
            return None
        if time.monotonic() > deadline:
            return said.message if said else "it is not registered"
        time.sleep(_POLL)


def _authority(plan: Plan) -> Authority:
    return Authority(plan.directory / "pki", name="innkeeper-trial-query-ca")

"""The objects that are made of what hosts tell of themselves: Cluster, Host, Flavor, namespaces. Pure.

What no host knows is not made up: IPPools, Images and labels of Clusters come back from where they are kept. A Host of
which nobody says whether it takes new guests takes none.
"""

from typing import Any

import msgspec

from innkeeper.domain import names
from innkeeper.domain.quantity import Amounts
from innkeeper.views.host import HostAgentSpec, HostScheduling, Network

Document = dict[str, Any]


def namespace_document(account: str) -> Document:
    """Return an account's namespace, with the label that says where it comes from."""
    return {"metadata": {"name": account, "labels": {names.REBUILT_LABEL: "true"}}}


def host_namespace_document(host: str) -> Document:
    """Return a host's namespace, as the host worker makes it; the identity in it is made when the operator runs."""
    return {"metadata": {"name": names.host_namespace(host), "labels": {names.HOST_LABEL: host}}}


def cluster_document(name: str, network: Network) -> Document:
    """Return the Cluster whose hosts have this network."""
    return {"metadata": {"name": name}, "spec": {"network": msgspec.to_builtins(network)}}


def host_document(name: str, settings: HostAgentSpec) -> Document:
    """Return the Host that these settings were made from; an agent of before does not tell all of it."""
    scheduling = settings.scheduling or HostScheduling(unschedulable=True)
    spec = {
        "cluster": settings.cluster,
        "reserved": msgspec.to_builtins(settings.reserved),
        "overcommit": msgspec.to_builtins(settings.overcommit),
        "allowEmulation": settings.allow_emulation,
        "unschedulable": scheduling.unschedulable,
        "maintenance": scheduling.maintenance,
        "taints": msgspec.to_builtins(scheduling.taints),
    }
    metadata = {"name": name, **({"labels": dict(scheduling.labels)} if scheduling.labels else {})}
    return {"metadata": metadata, "spec": {key: value for key, value in spec.items() if value}}


def flavor_document(name: str, amounts: Amounts) -> Document:
    """Return the Flavor that guests of these amounts were made from."""
    return {"metadata": {"name": name}, "spec": msgspec.to_builtins(amounts.quantities())}

"""The objects that are made of what hosts tell of themselves: Cluster, Host, Flavor, namespaces. Pure.

What no host knows is not made up: IPPools, Images and labels of Clusters come back from where they are kept. A Host of
which nobody says whether it takes new guests takes none.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from innkeeper.domain import names
from innkeeper.domain.quantity import Amounts
from innkeeper.views.host import HostAgentSpec, HostScheduling, Network

Document = dict[str, Any]

# What the API server takes: one label that it refuses would keep the whole Host from being made.
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"(?=.{1,253}/)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/")
# A pipeline would prune what its repository does not name; no Host was made for the guests in it.
_NO_HOSTS = frozenset({names.ARGO_INSTANCE_LABEL, names.REBUILT_LABEL})


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
    """Return the Host that these settings were made from; an agent of before does not tell all of it.

    Settings are not signed: labels that no Host of ours can have had are left out.
    """
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
    labels = _labels(scheduling.labels)
    metadata = {"name": name, **({"labels": labels} if labels else {})}
    return {"metadata": metadata, "spec": {key: value for key, value in spec.items() if value}}


def flavor_document(name: str, amounts: Amounts) -> Document:
    """Return the Flavor that guests of these amounts were made from."""
    return {"metadata": {"name": name}, "spec": msgspec.to_builtins(amounts.quantities())}


def _labels(told: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in told.items() if key not in _NO_HOSTS and _is_label(key, value)}


def _is_label(key: str, value: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    is_key = _NAME.fullmatch(name) and (not slash or _PREFIX.fullmatch(prefix + slash))
    return bool(is_key) and (not value or _NAME.fullmatch(value) is not None)

"""The writes that change a claim, each guarded by what was seen of it: nobody's later word is written over.

Who may write, and when, is for the callers to know: those that assign and release, and those that rebuild.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from innkeeper.clock import rfc3339
from innkeeper.domain import names
from innkeeper.kube.client import Client
from innkeeper.kube.resources import IP_ADDRESSES
from innkeeper.views.network import IPAddress


async def change_claim(client: Client, seen: IPAddress, change: Mapping[str, Any]) -> IPAddress:
    """Change a claim that is as it was seen, and return it as it is then.

    Raises:
        ApiError: the API server refused, or is away; a conflict means that somebody else wrote it.
    """
    metadata = seen.metadata
    return await client.patch(
        IP_ADDRESSES, metadata.name, change, resource_version=metadata.resource_version, uid=metadata.uid
    )


def is_kept_for(claim: IPAddress, host: str) -> bool:
    """Tell whether it is noted on a claim that a host may still use it."""
    return claim.metadata.annotations.get(names.HELD_BY_HOST_ANNOTATION) == host


def kept_for(host: str | None) -> dict[str, Any]:
    """Return the change that notes that a host may still use a claim; None takes the note off."""
    return {"metadata": {"annotations": {names.HELD_BY_HOST_ANNOTATION: host}}}


def released(at: datetime) -> dict[str, Any]:
    """Return the change that takes a claim from its owner; its address rests from then on."""
    return {
        "metadata": {"labels": {names.GUEST_ID_LABEL: None}, **kept_for(None)["metadata"]},
        "spec": {"owner": None, "releasedAt": rfc3339(at)},
    }

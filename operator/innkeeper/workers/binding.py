"""The one guarded write that makes facts of a binding true; of two writers one succeeds. It decides nothing."""

from collections.abc import Mapping
from typing import Any

import msgspec

from innkeeper.kube.client import Client
from innkeeper.kube.conditions import document
from innkeeper.kube.resources import GUESTS
from innkeeper.views.guest import Guest


async def write_facts(client: Client, guest: Guest, facts: Mapping[str, Any]) -> Guest:
    """Write facts beside what the status says already and return the Guest; None takes a field away.

    Raises:
        ApiError: ConflictError where the Guest has changed, or is another one.
    """
    # Views leave out what has its default value; a condition must say its message even where it is empty.
    told = {"conditions": [document(each) for each in guest.status.conditions]}
    status = {**msgspec.to_builtins(guest.status), **told, **facts}
    return await client.replace_status(
        GUESTS,
        guest.metadata.name,
        {key: value for key, value in status.items() if value is not None},
        namespace=guest.metadata.namespace,
        resource_version=guest.metadata.resource_version,
        uid=guest.metadata.uid,
    )

"""Leads a Guest that was made anew to the binding that its host's order names; it is placed nowhere else.

It waits while the order is not known, and stops where something else holds what the guest uses: the guest itself runs on.
"""

from typing import Any

from innkeeper.domain import names
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.lifecycle.revival import NotRevivableError
from innkeeper.domain.reasons import ConditionType, GuestReason
from innkeeper.kube.client import Client
from innkeeper.kube.errors import ForbiddenError, NotFoundError
from innkeeper.state import waiting
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest
from innkeeper.workers.binding import write_facts
from innkeeper.workers.held import HeldByHosts
from innkeeper.workers.revival import Revival

AGAIN_S = 10.0


class Reviver:
    """Revives Guests that exist already."""

    def __init__(self, client: Client, subset: Subset, *, held: HeldByHosts) -> None:
        self._client = client
        self._subset = subset
        self._held = held
        self._revival = Revival(client, assume=subset.assume)

    async def complete(self, guest: Guest) -> Guest | Blocked:
        """Bind a Guest to where it runs; return why that cannot be done.

        Raises:
            ApiError: the API server refused, or is away.
        """
        guest_id, name = guest_id_of(guest), _host(guest)
        host = self._subset.hosts.get(name)
        held = self._held.order(guest_id, name)
        if held is None or host is None:
            missing = "there is no such Host" if host is None else "its order is not known yet"
            causes = (waiting.host_record(name),)
            return _waits(
                GuestReason.REVIVAL_WAITS, f"this guest runs on host {name}, and {missing}", causes=causes
            )
        claims = self._subset.claims.of_guest(guest_id)
        places = {
            (owner.interface, each.spec.address): (each.spec.address_space, each.spec.pool)
            for each in claims
            if (owner := each.spec.owner) is not None
        }
        try:
            return await self._revival.complete(guest, held, cluster=host.spec.cluster, places=places)
        except NotRevivableError as error:
            return _waits(GuestReason.REVIVAL_FAILED, error.message)
        except (NotFoundError, ForbiddenError) as error:
            return _waits(GuestReason.REVIVAL_WAITS, f"host {name} has no namespace yet: {error.message}")

    async def bind_to_destroy(self, guest: Guest) -> Guest:
        """Say where a Guest runs that was deleted before it was bound, so that it is destroyed there.

        No order need be known for that: the host tells what it holds, and is told more.

        Raises:
            ApiError: the API server refused, or is away.
        """
        guest_id = guest_id_of(guest)
        facts: dict[str, Any] = {
            "id": guest_id,
            "urn": names.urn(guest_id),
            "host": _host(guest),
            "epoch": 1,
        }
        written = await write_facts(self._client, guest, facts)
        self._subset.assume(written)
        return written


def _host(guest: Guest) -> str:
    return guest.metadata.annotations[names.REVIVED_FROM_ANNOTATION]


def _waits(reason: GuestReason, message: str, *, causes: tuple[str, ...] = ()) -> Blocked:
    return Blocked(
        step=ConditionType.SCHEDULED,
        reason=reason,
        message=message,
        causes=causes,
        again_after_s=AGAIN_S,
    )

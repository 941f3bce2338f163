"""Why a pool has no address for one wish of a guest, beside the other wishes of the same guest.

Reads the subset only. What is claimed at this moment counts as taken, and a claim on its way counts against the limit
of its namespace, so that guests that are looked at together do not get more than there is.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from innkeeper.domain.addressing.claim import is_meant
from innkeeper.domain.addressing.pool import Pool, number_of
from innkeeper.domain.addressing.search import count_free
from innkeeper.domain.addressing.wishes import wishes
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.lifecycle.holder import holder_of_address, reserved_for
from innkeeper.domain.reasons import ConditionType, GuestReason
from innkeeper.kube.informer import Key
from innkeeper.state import waiting
from innkeeper.state.backlog import rank_of
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest
from innkeeper.views.network import IPAddress


@dataclass(frozen=True)
class Wanted:
    """One address that a guest is to have: from which pool, and the claim where it has one."""

    interface: str
    name: str  # of the pool
    pool: Pool
    fixed: str | None
    held: IPAddress | None


class Shortage:
    """Answers about one wish at a time. `earlier` are the guest's wishes that have their pools already."""

    def __init__(self, subset: Subset) -> None:
        self._subset = subset

    def of(self, guest: Guest, wanted: Wanted, earlier: Sequence[Wanted]) -> Blocked | None:
        """Tell why a guest cannot have an address now, or None: it takes no room on a host before there is one."""
        same_pool = [each for each in earlier if each.name == wanted.name]
        limited = self._over_limit(guest, wanted, same_pool)
        if limited is not None:
            return limited
        if wanted.fixed is not None:
            return self._not_this_one(guest, wanted, wanted.fixed, earlier)
        return self._none_free(guest, wanted, same_pool)

    def _over_limit(self, guest: Guest, wanted: Wanted, same_pool: Sequence[Wanted]) -> Blocked | None:
        namespace, most = guest.metadata.namespace, wanted.pool.max_per_namespace
        if most is None:
            return None
        later = self._later(guest, wanted, same_pool)
        if len(same_pool) + 1 + len(later) > most:
            message = (
                f"this guest asks for more than the {most} addresses of the IPPool {wanted.name!r} that one namespace "
                "may hold"
            )
            return blocked(GuestReason.POOL_LIMIT_REACHED, message, *causes(wanted))
        cause = waiting.limit(wanted.name, namespace)
        held = self._subset.claims.count_of_namespace(wanted.name, namespace)
        others = sum(each.held is None for each in same_pool)
        if self._subset.waiting.left(cause, _key(guest), rank_of(guest), free=most - held) > others:
            return None
        which = "which is its limit" if held >= most else f"and may hold {most}"
        behind = self._behind(guest, cause)
        message = (
            f"namespace {namespace} holds {held} addresses of the IPPool {wanted.name!r}, {which}{behind}"
        )
        needs = {cause: others + 1 + len(later - self._holding(guest, wanted.name))}
        return blocked(GuestReason.POOL_LIMIT_REACHED, message, *causes(wanted), cause, needs=needs)

    def _none_free(self, guest: Guest, wanted: Wanted, same_pool: Sequence[Wanted]) -> Blocked | None:
        pool, taken = wanted.pool, self._subset.claims.taken(wanted.pool)
        fresh = [each for each in same_pool if each.held is None]
        certain = {number_of(each.fixed)[1] for each in fresh if each.fixed is not None}
        any_one = sum(each.fixed is None for each in fresh)
        held = self._subset.claims.of_guest(guest_id_of(guest))
        mine = {number_of(each.spec.address)[1] for each in held if each.spec.address_space == pool.space}
        reserved = [each for each in pool.reserved_for(owner_of(guest)) if each not in certain | mine]
        free_reserved = sum(each not in taken for each in reserved)
        if any_one < free_reserved:
            return None
        in_use: list[str] = []
        for number in reserved:
            awaited = self._taken(guest, wanted, pool.text(number), "reserved for this guest, ")
            if awaited is not None and awaited.reason != GuestReason.ADDRESS_IN_USE:
                return awaited
            # Where a machine has it, nobody knows for how long: the rest of the pool will do, and this one if it ends.
            in_use += awaited.causes if awaited is not None else ()
        others = any_one - free_reserved + sum(pool.gives((pool.version, number)) for number in certain)
        later = self._later(guest, wanted, same_pool) - self._holding(guest, wanted.name)
        exhausted = self._exhausted(guest, wanted, others=others, later=len(later))
        return exhausted and replace(exhausted, causes=(*exhausted.causes, *in_use))

    def _exhausted(self, guest: Guest, wanted: Wanted, *, others: int, later: int) -> Blocked | None:
        """Tell that a pool has not one more than the others that a guest asks it for; None where it has."""
        cause, key, rank, pool = waiting.pool(wanted.name), _key(guest), rank_of(guest), wanted.pool
        most = self._subset.waiting.needed_before(cause, key, rank) + others + 1
        free = count_free(pool, self._subset.claims.taken(pool), most=most)
        if self._subset.waiting.left(cause, key, rank, free=free) > others:
            return None
        if pool.total <= others + later:
            message = f"the IPPool {wanted.name!r} has fewer addresses than this guest asks for: add a range"
            return blocked(GuestReason.POOL_EXHAUSTED, message, *causes(wanted))
        beside = f" beside the {others} that other interfaces of this guest ask for" if others else ""
        behind = self._behind(guest, cause)
        message = (
            f"the IPPool {wanted.name!r} has no free address{beside}: add a range, or delete guests{behind}"
        )
        return blocked(GuestReason.POOL_EXHAUSTED, message, cause, needs={cause: others + 1 + later})

    def _not_this_one(
        self, guest: Guest, wanted: Wanted, fixed: str, earlier: Sequence[Wanted]
    ) -> Blocked | None:
        """Tell why a guest cannot have the very address that it asks for, or None where it can."""
        for each in earlier:
            if (each.pool.space, each.fixed) == (wanted.pool.space, fixed):
                message = (
                    f"both {each.interface} and {wanted.interface} ask for {fixed}: create the Guest again with "
                    "another address for one of them"
                )
                return blocked(GuestReason.ADDRESS_TAKEN, message)
        if not wanted.pool.contains(number_of(fixed)):
            message = f"{fixed} is no address that the IPPool {wanted.name!r} gives"
            return blocked(GuestReason.ADDRESS_OUTSIDE_POOL, message, *causes(wanted))
        reservation = wanted.pool.reservations.get(number_of(fixed)[1])
        if reservation is not None and reservation.owner != owner_of(guest):
            message = reserved_for(
                fixed,
                pool=wanted.name,
                owner=reservation.owner,
                reason=reservation.reason,
                told_to=guest.metadata.namespace,
            )
            return blocked(GuestReason.ADDRESS_RESERVED, message, *causes(wanted))
        return self._taken(guest, wanted, fixed)

    def _taken(self, guest: Guest, wanted: Wanted, address: str, which: str = "") -> Blocked | None:
        """Tell who has an address that a guest waits for, or None where nobody has it."""
        there = self._subset.claims.holding(wanted.pool, address)
        if there is None:
            return None
        awaited = (*causes(wanted), waiting.address(there.metadata.name))
        owner, user = there.spec.owner, self._used_by(guest, there, wanted.interface)
        what = f"{address}, {which}" if which else f"{address} "
        if owner is not None:
            holder = holder_of_address(
                address,
                space=wanted.pool.space,
                namespace=owner.namespace,
                name=owner.name,
                told_to=guest.metadata.namespace,
            )
            message = f"{what}is held by {holder}"
        elif user is not None:
            message = f"{user} on the wire has {address}: free it; the wire is asked again after a rest"
            return blocked(GuestReason.ADDRESS_IN_USE, message, *awaited)
        else:
            message = f"{what}still rests"
        return blocked(GuestReason.ADDRESS_TAKEN, message, *awaited)

    def _used_by(self, guest: Guest, there: IPAddress, interface: str) -> str | None:
        """Say who answered at an address when a host refused this guest for it; None where that never was."""
        guest_id = guest_id_of(guest)
        for each in self._subset.assignments_of(guest_id).values():
            conflict = each.status.conflict
            if conflict is not None and is_meant(conflict, interface, there.spec.address):
                return f"the machine {conflict.mac}"
        return "a machine" if self._subset.refusals.was_in_use(guest_id, there.metadata.uid) else None

    def _later(self, guest: Guest, wanted: Wanted, same_pool: Sequence[Wanted]) -> set[str]:
        """Return the interfaces that ask for an address of the same pool by its name and come after this one."""
        asking = {wish.interface for wish in wishes(guest) if wish.pool == wanted.name}
        return asking - {each.interface for each in (*same_pool, wanted)}

    def _holding(self, guest: Guest, pool: str) -> set[str]:
        """Return the interfaces of a guest that have an address of a pool already."""
        held = (
            each.spec for each in self._subset.claims.of_guest(guest_id_of(guest)) if each.spec.pool == pool
        )
        return {each.owner.interface for each in held if each.owner is not None}

    def _behind(self, guest: Guest, cause: str) -> str:
        ahead = self._subset.waiting.before(cause, _key(guest), rank_of(guest))
        if not ahead:
            return ""
        return f"; {ahead} guests are before this one" if ahead > 1 else "; 1 guest is before this one"


def _key(guest: Guest) -> Key:
    return guest.metadata.namespace, guest.metadata.name


def owner_of(guest: Guest) -> str:
    """Return how a reservation names a guest."""
    return f"{guest.metadata.namespace}/{guest.metadata.name}"


def causes(wanted: Wanted) -> tuple[str, ...]:
    """Return what could help in any case: another pool, that is."""
    return (waiting.spec_of_pool(wanted.name),)


def blocked(
    reason: GuestReason, message: str, *causes: str, needs: Mapping[str, int] | None = None
) -> Blocked:
    """Return why the step of addresses cannot be done."""
    step = ConditionType.ADDRESSES_ASSIGNED
    return Blocked(step=step, reason=reason, message=message, causes=causes, needs=needs or {})


def canonical(address: str | None) -> str | None:
    """Return an address as objects name it: a manifest may write IPv6 in another way."""
    return None if address is None else str(ipaddress.ip_address(address))

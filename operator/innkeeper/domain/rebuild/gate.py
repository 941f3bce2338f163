"""Whether an operator may lead in the store that it finds, or hosts must be heard first.

A store in which no operator ever led, while hosts are listed that may hold guests, is a new one in place of one that is
gone. A store that lost a mark was put back to an older copy. Pure.
"""

from dataclasses import dataclass
from enum import StrEnum


class RebuildPolicy(StrEnum):
    """What an operator does where hosts may hold guests that the API server does not know."""

    NEVER = "Never"  # it leads at once
    MANUAL = "Manual"  # in a new store it waits for `innkeeper operator rebuild`
    AUTO = "Auto"  # it hears hosts and makes what is missing before it leads


class Standing(StrEnum):
    """What this process knows of the store from before."""

    UNKNOWN = "Unknown"
    SAME = "Same"
    OTHER_STORE = "OtherStore"
    OTHER_HISTORY = "OtherHistory"  # the same store, put back to an older copy


class RebuildState(StrEnum):
    """What the store itself says: how far the hearing of hosts is."""

    REBUILDING = "rebuilding"
    HEALING = "healing"  # after the store was put back
    DONE = "done"


class Action(StrEnum):
    """What is to be done before anything is decided in this store."""

    LEAD = "Lead"
    HEAL = "Heal"  # hear hosts, make what is missing
    WAIT = "Wait"  # for a person


@dataclass(frozen=True, kw_only=True)
class Store:
    """All that the choice depends on."""

    standing: Standing
    state: RebuildState | None
    was_led: bool  # an operator led in it before
    has_bound_guests: bool
    can_ask: bool  # there are certificates to ask hosts with
    are_listed: bool  # hosts are: in the hosts file, or in this process's snapshot of another store


def action(store: Store, policy: RebuildPolicy) -> Action:
    """Return what is to be done."""
    if policy is RebuildPolicy.NEVER:
        return Action.LEAD
    if not store.can_ask:
        # Nobody can be heard. But hosts of another store are known: what they hold would be built once more.
        return Action.WAIT if store.standing is Standing.OTHER_STORE and _is_new(store) else Action.LEAD
    if store.standing is Standing.OTHER_HISTORY or store.state is RebuildState.HEALING:
        return Action.HEAL
    by_policy = Action.HEAL if policy is RebuildPolicy.AUTO else Action.WAIT
    if store.state is RebuildState.REBUILDING or _is_new(store):
        return by_policy
    # Bound Guests in another store that nobody led: somebody copied objects here.
    return Action.HEAL if store.standing is Standing.OTHER_STORE and _is_unled(store) else Action.LEAD


def _is_unled(store: Store) -> bool:
    """Tell whether no operator ever led in it, while hosts are known that may hold guests."""
    return store.state is not RebuildState.DONE and not store.was_led and store.are_listed


def _is_new(store: Store) -> bool:
    """Tell whether it is one in place of another that is gone. Bound Guests: an operator led that left no mark yet."""
    return _is_unled(store) and not store.has_bound_guests

"""From a Guest to its request: the words of the API become plain data that rules understand.

Pure. What the Guest itself does not say (its size, which clusters its pools serve, who refused it) is handed in.
"""

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling.request import Group, Request, SpreadLimit, Term, Tolerance, Wish
from innkeeper.domain.scheduling.selectors import Selector
from innkeeper.views.guest import Affinity, Guest, Placement
from innkeeper.views.placement import GuestTerm, Toleration

_NOWHERE = Placement()
_NOBODY = Affinity()
_HARD = "DoNotSchedule"


def request_of(
    guest: Guest,
    *,
    amounts: Amounts,
    image: str = "",
    mac_in_use: frozenset[str] = frozenset(),
    avoid: frozenset[str] = frozenset(),
) -> Request:
    """Return what a guest asks of a host.

    Raises:
        ValueError: a selector of its placement has an operator that is not known.
    """
    namespace = guest.metadata.namespace
    wanted = guest.spec.placement or _NOWHERE
    near, apart = wanted.affinity or _NOBODY, wanted.anti_affinity or _NOBODY
    liked = (Wish(_term(each, namespace), each.weight) for each in near.preferred)
    disliked = (Wish(_term(each, namespace), -each.weight) for each in apart.preferred)
    hard = [each for each in wanted.spread if each.when_unsatisfiable == _HARD]
    soft = [each for each in wanted.spread if each.when_unsatisfiable != _HARD]
    return Request(
        amounts=amounts,
        namespace=namespace,
        labels=tuple(sorted(guest.metadata.labels.items())),
        image=image,
        cluster=wanted.cluster,
        cluster_selector=Selector.of(wanted.cluster_selector),
        host_selector=Selector.of(wanted.host_selector),
        mac_in_use=mac_in_use,
        tolerations=tuple(_tolerance(each) for each in wanted.tolerations),
        avoid=avoid,
        near=tuple(_term(each, namespace) for each in near.required),
        apart=terms_apart(guest.spec.placement, namespace),
        spread=tuple(SpreadLimit(_term(each, namespace), each.max_skew) for each in hard),
        wishes=(*liked, *disliked),
        spread_wishes=tuple(_term(each, namespace) for each in soft),
    )


def terms_apart(placement: Placement | None, namespace: str) -> tuple[Term, ...]:
    """Return whom a guest keeps out of its places, for as long as it is there."""
    if placement is None or placement.anti_affinity is None:
        return ()
    return tuple(_term(each, namespace) for each in placement.anti_affinity.required)


def _term(view: GuestTerm, namespace: str) -> Term:
    return Term(Group(namespace, Selector.of(view.selector)), view.topology_key)


def _tolerance(view: Toleration) -> Tolerance:
    value = None if view.operator == "Exists" else view.value
    return Tolerance(view.key, value, view.effect)

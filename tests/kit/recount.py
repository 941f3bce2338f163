"""What hosts have promised, counted anew from the API server's objects alone: what every subset must agree with.

It shares nothing with the subset: a bound Guest counts where its status says, with the resources that it was bound with;
a Guest that is gone counts where an order for it still stands.
"""

from collections import defaultdict

from innkeeper.domain.orders import peek
from innkeeper.domain.quantity import Amounts
from innkeeper.kube.resources import ASSIGNMENTS, GUESTS
from innkeeper.state.subset import Subset
from innkeeper.views.assignment import Assignment
from innkeeper.views.guest import Guest
from tests.kit.fake_api import FakeApi
from tests.kit.objects import view
from tests.kit.waiting import eventually

_HOLDS_NOTHING = ("Destroyed", "Refused")


def promised_by_the_api(api: FakeApi) -> dict[str, Amounts]:
    """Return what each host has promised, hosts without a promise left out."""
    sums: defaultdict[str, Amounts] = defaultdict(Amounts)
    guests = [view(each, Guest) for each in api.objects(GUESTS)]
    for guest in guests:
        if guest.status.host is not None:
            assert guest.status.resources is not None, f"{guest.metadata.name} is bound without resources"
            sums[guest.status.host] += Amounts.of(guest.status.resources)
    known = {guest.status.id or guest.metadata.uid for guest in guests}
    for order in (view(each, Assignment) for each in api.objects(ASSIGNMENTS)):
        if order.spec.guest_id not in known and not _is_over(order):
            taken = peek(order.spec.order).resources
            host = order.metadata.namespace.removeprefix("host-")
            sums[host] += Amounts(taken.cpu_millis, taken.memory_bytes, taken.disk_bytes)
    return dict(sums)


def _is_over(order: Assignment) -> bool:
    """Tell whether the host said of this very epoch, or of a later one, that it holds nothing."""
    told = order.status
    return told.outcome in _HOLDS_NOTHING and told.held is not None and told.held.epoch >= order.spec.epoch


async def subsets_agree(api: FakeApi, *subsets: Subset, deadline_s: float = 10) -> None:
    """Wait until every subset promises exactly what the API server's objects say."""

    def agree() -> bool:
        wanted = promised_by_the_api(api)
        for subset in subsets:
            told = {name: subset.promises.of_host(name) for name in subset.hosts}
            assert {name: amounts for name, amounts in told.items() if amounts != Amounts()} == wanted
        return True

    await eventually(agree, deadline_s=deadline_s)

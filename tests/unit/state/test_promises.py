"""Promises never leak: whatever happens in whatever order, the sums are those of a recount from nothing."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from innkeeper.domain.orders import OrderResources, Signer
from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling.facts import Resident
from innkeeper.domain.scheduling.fleet import Fleet
from innkeeper.kube.informer import Change, key_of
from innkeeper.state.promises import Promises
from innkeeper.state.subset import Subset
from innkeeper.views.assignment import Assignment
from innkeeper.views.guest import Guest
from innkeeper.views.meta import View
from tests.kit import objects
from tests.kit.agent_orders import order
from tests.kit.objects import NAMESPACE, guest_id, view

HOSTS = ("a", "b", "c")
NUMBERS = (1, 2, 3)
SIZE = {"cpu": "1", "memory": "1Gi", "disk": "10Gi"}
ONE = Amounts(1000, 1024**3, 10 * 1024**3)
ALL_OUTCOMES = (None, "Accepted", "Refused", "Destroyed", "Superseded")
HOLDS_NOTHING = ("Refused", "Destroyed")
ANSWERED = 1
SIGNER = Signer(b"\x01" * 32)

numbers = st.sampled_from(NUMBERS)
hosts = st.sampled_from(HOSTS)


def guest(number: int, host: str | None) -> Guest:
    status = {"resources": SIZE, "epoch": 1, **({"host": host} if host else {})}
    return view(objects.guest(f"web-{number}", number=number, status=status), Guest)


def assignment(number: int, host: str, outcome: str | None, *, epoch: int = ANSWERED) -> Assignment:
    """An order of an epoch, beside what the host said of the epoch ANSWERED."""
    taken = OrderResources(
        cpu_millis=ONE.cpu_millis, memory_bytes=ONE.memory_bytes, disk_bytes=ONE.disk_bytes
    )
    text = SIGNER.sign(order(guest_id=guest_id(number), host=host, resources=taken, epoch=epoch))
    status = {"outcome": outcome, "held": {"epoch": ANSWERED, "serial": 1}} if outcome else {}
    made = objects.assignment(guest=guest_id(number), host=host, order=text, rank=(epoch, 1), status=status)
    return view(made, Assignment)


def on(host: str) -> Resident:
    return Resident(host=host, amounts=ONE)


class PromiseMachine(RuleBasedStateMachine):
    """Guests and orders come, change and go; bindings are tried and fail."""

    def __init__(self) -> None:
        super().__init__()
        self.subset = Subset()

    def tell(self, made: View, *, gone: bool = False) -> None:
        self.subset.apply(Change(key_of(made), made, None if gone else made))

    @rule(number=numbers, host=st.none() | hosts)
    def guest_is_told(self, number: int, host: str | None) -> None:
        self.tell(guest(number, host))

    @rule(number=numbers)
    def guest_is_gone(self, number: int) -> None:
        found = self.subset.guests.get((NAMESPACE, f"web-{number}"))
        if found is not None:
            self.tell(found, gone=True)

    @rule(
        number=numbers,
        host=hosts,
        outcome=st.sampled_from(ALL_OUTCOMES),
        epoch=st.sampled_from((ANSWERED, ANSWERED + 1)),
    )
    def order_is_told(self, number: int, host: str, outcome: str | None, epoch: int) -> None:
        self.tell(assignment(number, host, outcome, epoch=epoch))

    @rule(number=numbers, host=hosts)
    def order_is_gone(self, number: int, host: str) -> None:
        found = self.subset.assignment(guest_id(number), host)
        if found is not None:
            self.tell(found, gone=True)

    @rule(number=numbers, host=hosts)
    def binding_is_tried_and_fails(self, number: int, host: str) -> None:
        if (NAMESPACE, f"web-{number}") in self.subset.guests:
            self.subset.promises.assume(guest_id(number), on(host))
            self.subset.settle_promise(guest_id(number))

    @invariant()
    def each_guest_takes_room_exactly_where_it_is_bound_or_may_still_run(self) -> None:
        for number in NUMBERS:
            found = self.subset.guests.get((NAMESPACE, f"web-{number}"))
            promised = self.subset.promises.host_of(guest_id(number))
            if found is not None:
                assert promised == found.status.host
                continue
            orders = self.subset.assignments_of(guest_id(number))
            holders = {
                host
                for host, each in orders.items()
                if each.status.outcome not in HOLDS_NOTHING or each.spec.epoch != ANSWERED
            }
            assert promised in holders if holders else promised is None

    @invariant()
    def the_sums_are_those_of_a_recount(self) -> None:
        promised = [self.subset.promises.host_of(guest_id(number)) for number in NUMBERS]
        for host in HOSTS:
            sum_of_host = Amounts()
            for _ in range(promised.count(host)):
                sum_of_host = sum_of_host + ONE
            assert self.subset.promises.of_host(host) == sum_of_host
            assert self.subset.promises.count(host) == promised.count(host)


TestPromiseMachine = PromiseMachine.TestCase
TestPromiseMachine.settings = settings(max_examples=60, stateful_step_count=30)


def test_a_promise_that_moves_leaves_its_former_host() -> None:
    promises = Promises(Fleet())
    promises.keep("g", on("a"))
    promises.keep("g", on("b"))
    assert (promises.count("a"), promises.of_host("a")) == (0, Amounts())
    assert (promises.count("b"), promises.of_host("b")) == (1, ONE)


def test_the_same_promise_twice_counts_once_and_ends_once() -> None:
    promises = Promises(Fleet())
    promises.keep("g", on("a"))
    promises.keep("g", on("a"))
    assert (promises.count("a"), promises.of_host("a")) == (1, ONE)
    assert promises.release("g") == "a"
    assert promises.release("g") is None
    assert promises.of_host("a") == Amounts()


def test_nothing_is_promised_by_a_host_that_nobody_knows() -> None:
    promises = Promises(Fleet())
    assert (promises.of_host("a"), promises.count("a"), promises.host_of("g")) == (Amounts(), 0, None)

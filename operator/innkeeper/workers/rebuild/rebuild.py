"""The whole of it: hear every host, choose what counts, look at what is there, make what is missing.

Nothing is written before every host was heard, but those that a person gave up: one that is not heard may hold a later
order of any guest, and use any address. Run again, it goes on where it was ended; run once more, it changes nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from innkeeper.clock import Clock
from innkeeper.domain.lifecycle.revival import HeldOrder
from innkeeper.domain.rebuild.choice import Choice, choose
from innkeeper.domain.rebuild.findings import FAILURES, Finding, FindingKind
from innkeeper.domain.rebuild.lack import Lack, Present, lack, lagging, unknown_scheduling
from innkeeper.kube.client import Client
from innkeeper.views.meta import View
from innkeeper.workers.rebuild.hearing import Hearing
from innkeeper.workers.rebuild.looking import look, standing_orders
from innkeeper.workers.rebuild.making import Making
from innkeeper.workers.rebuild.patience import patiently

Progress = Callable[[str, int, int], None]  # what is done, how much of it, of how much


@dataclass(kw_only=True)
class Outcome:
    """What a run found and did; `missing` is what was not there before it."""

    heard: int = 0
    unheard: dict[str, str] = field(default_factory=dict)
    guests: int = 0  # that hosts hold and that count
    missing: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    absent_pools: list[str] = field(default_factory=list)  # that addresses in use are of
    images: list[str] = field(default_factory=list)  # that guests were made from

    @property
    def is_complete(self) -> bool:
        """Whether every host was heard, and all addresses that they use are held: only then may any be given.

        Nor is a guest to be switched by the word of an older copy. Where no host was heard, nobody said that nothing is
        missing.
        """
        return self.heard > 0 and not self.unheard and not self.unclaimed and not self.lagging

    @property
    def unclaimed(self) -> list[Finding]:
        """Addresses in use that nobody holds."""
        return [each for each in self.findings if each.kind is FindingKind.NOT_CLAIMED]

    @property
    def lagging(self) -> list[Finding]:
        """Guests whose power is an older copy's, and could not be changed."""
        return [each for each in self.findings if each.kind is FindingKind.NOT_CAUGHT_UP]

    @property
    def failures(self) -> list[Finding]:
        """What is not as it should be: a person has to act."""
        return [each for each in self.findings if each.kind in FAILURES]


@dataclass(frozen=True)
class Found:
    """What hosts hold and the API server lacks."""

    outcome: Outcome
    lack: Lack
    choice: Choice
    present: Present


class Rebuild:
    """One way to an API server and to hosts; `assume` takes what each write answers."""

    def __init__(
        self,
        client: Client,
        hearing: Hearing,
        *,
        clock: Clock,
        assume: Callable[[View], None] = lambda _: None,
        progress: Progress = lambda what, done, total: None,  # noqa: ARG005 - a default that does nothing
    ) -> None:
        self._client = client
        self._hearing = hearing
        self._clock = clock
        self._assume = assume
        self._progress = progress

    async def look(self, hosts: Iterable[str]) -> Found:
        """Hear hosts and say what is missing; write nothing.

        Raises:
            ApiError: the API server refused, or is away.
        """
        wanted = sorted(set(hosts))
        heard = await self._hearing.hear(wanted, done=self._counting("hosts heard", len(wanted)))
        choice = choose(heard.testimonies.values())
        present = await patiently(lambda: self._look_around(choice), self._clock)
        lacking = lack(choice, present)
        outcome = Outcome(
            heard=len(heard.testimonies),
            unheard=heard.unheard,
            guests=len(choice.guests),
            missing=_counted(lacking, present),
            findings=[
                *choice.findings,
                *unknown_scheduling(choice, lacking.hosts),
                *(told for each in lacking.catching_up for told in each.findings()),
            ],
            absent_pools=sorted(choice.pools - present.pools.keys()),
            images=sorted(choice.images),
        )
        return Found(outcome, lacking, choice, present)

    async def _look_around(self, choice: Choice) -> Present:
        present = await look(self._client)
        standing = await standing_orders(self._client, lagging(choice, present))
        return replace(present, standing=standing)

    async def make(self, found: Found) -> Outcome:
        """Make what was found missing.

        Raises:
            ApiError: the API server refused, or is away; the next run goes on from there.
        """
        making = Making(self._client, found.choice, found.present, clock=self._clock, assume=self._assume)
        done = self._counting("guests made anew", len(found.lack.guests))
        await making.make(found.lack, done=done)
        found.outcome.made = making.made
        found.outcome.findings += making.findings
        return found.outcome

    async def run(self, hosts: Iterable[str]) -> Outcome:
        """Hear hosts and, where each of them was heard, make what is missing.

        Raises:
            ApiError: the API server refused, or is away.
        """
        found = await self.look(hosts)
        return await self.make(found) if found.outcome.is_complete else found.outcome

    def _counting(self, what: str, total: int) -> Callable[[], None]:
        count = 0

        def done() -> None:
            nonlocal count
            count += 1
            self._progress(what, count, total)

        return done


def _counted(lacking: Lack, present: Present) -> Counter[str]:
    guests = {each.order.guest_id for each in lacking.guests}
    orders = [*lacking.superseded, *(each for each in lacking.ending if _is_not_given(each, present))]
    counts = {
        "Namespace": len(lacking.namespaces) + len(lacking.host_namespaces),
        "Cluster": len(lacking.clusters),
        "Host": len(lacking.hosts),
        "Flavor": len(lacking.flavors),
        "Guest": len(lacking.guests),
        "IPAddress": sum(
            each.order.guest_id not in guests for each in lacking.claims
        ),  # beside those of Guests
        "Assignment": len(orders),
        **Counter(each.kind for each in lacking.ended),
        "CaughtUp": sum(bool(each.changes) for each in lacking.catching_up),
    }
    return Counter({kind: count for kind, count in counts.items() if count})


def _is_not_given(held: HeldOrder, present: Present) -> bool:
    return (held.order.host, held.order.guest_id) not in present.orders

"""The histories find planted bugs: each is put into the product, and one of the first seeds must complain of it."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from innkeeper.agent import plan, reconcile, work
from innkeeper.agent.drivers.driver import DomainPhase, DomainState
from innkeeper.agent.operations.book import OperationBook
from innkeeper.agent.operations.operating import Operating
from innkeeper.agent.service import Agent
from innkeeper.agent.store.operations import OperationRecord
from innkeeper.clock import parse_rfc3339
from innkeeper.domain.addressing.taken import Taken
from innkeeper.domain.lifecycle import projection as lifecycle
from innkeeper.domain.names import address_name
from innkeeper.domain.quantity import Amounts
from innkeeper.domain.reasons import OperationPhase, RestartPolicy
from innkeeper.domain.rebuild import lack
from innkeeper.state.backlog import Backlog
from innkeeper.state.claims import Claims
from innkeeper.state.promises import Promises
from innkeeper.workers.claiming import Claiming
from innkeeper.workers.deletion import DeletionWorker
from innkeeper.workers.hosts import projection
from innkeeper.workers.hosts.statuses import HostStatuses
from innkeeper.workers.network import NetworkWorker
from innkeeper.workers.operations import OperationFlow
from innkeeper.workers.rebuild.making import Making
from innkeeper.workers.revival import Revival
from innkeeper.workers.sweeper import Sweeper
from tests.kit.history import histories
from tests.kit.history.parts import HostPart, WitnessedDriver
from tests.kit.history.putting_back import PutBackWorld
from tests.kit.history.world import World
from tests.kit.virtual_loop import VirtualLoop

pytestmark = pytest.mark.timeout(900)  # some look at many histories, on a machine that may be busy

MOST_SEEDS = 24


def complaint(part: str, *, world_kind: type[World] = World, seeds: int = MOST_SEEDS) -> str:
    """Return the first complaint that holds these words, of the first seeds."""
    seen: list[str] = []
    for seed in range(seeds):
        seen += histories.run(seed, world_kind=world_kind).complaints
        for each in seen:
            if part in each:
                return each
    raise AssertionError(f"no history complains of {part!r}; they say: {seen}")


class _BlindDriver(WitnessedDriver):
    """Does not see what lives, so its agent starts it again."""

    async def domains(self) -> dict[str, DomainState]:
        return {}

    async def start(self, guest_id: str) -> None:
        if guest_id in self.running():
            self.witness.starts(guest_id, self.host)
        await super().start(guest_id)


class _BlindHost(HostPart):
    driver_kind = _BlindDriver


class _BlindWorld(World):
    host_kind = _BlindHost


def test_a_machine_that_is_started_twice() -> None:
    assert complaint("while it lives on", world_kind=_BlindWorld)


def test_an_absence_that_destroys(monkeypatch: pytest.MonkeyPatch) -> None:
    assigned = Agent._assigned
    tasks: set[asyncio.Future[None]] = set()

    def obeys_absence(self: Agent, change: Any) -> None:
        if change.new is None:
            tasks.add(asyncio.ensure_future(self._driver.remove(change.key[1])))
        assigned(self, change)

    monkeypatch.setattr(Agent, "_assigned", obeys_absence)
    assert complaint("whose Guest nobody deleted")


def test_a_disk_that_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_remove_tree", lambda _directory: None)
    assert complaint("keeps the disk")


def test_an_address_that_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks which addresses are taken, nor whose the claim is that was found."""
    create = Claiming.create

    async def takes_any(self: Claiming, guest: Any, wanted: Any, address: str, **options: Any) -> Any:
        mine = await create(self, guest, wanted, address, **options)
        return mine or self._subset.claims.by_name.get(address_name(wanted.pool.space, address))

    monkeypatch.setattr(Claiming, "create", takes_any)
    monkeypatch.setattr(NetworkWorker, "owns", lambda _self, _guest: True)
    monkeypatch.setattr(Claims, "taken", lambda _self, _pool: Taken())
    assert complaint("is used by")


def test_an_address_that_is_never_released(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(self: NetworkWorker, guest_id: str) -> None:
        del self, guest_id

    monkeypatch.setattr(NetworkWorker, "release_all", nothing)
    monkeypatch.setattr(Sweeper, "_is_stood_behind", lambda _self, _address, _kept: True)
    assert complaint("whose Guest is gone")


def test_a_subset_that_miscounts(monkeypatch: pytest.MonkeyPatch) -> None:
    of_host: Callable[[Promises, str], Amounts] = Promises.of_host
    monkeypatch.setattr(Promises, "of_host", lambda self, host: of_host(self, host) + Amounts(1000, 0, 0))
    assert complaint("counts as promised")


def test_a_guest_that_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backlog, "helped", lambda _self: [])
    assert complaint("waits for room")


def test_a_deletion_that_is_not_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(self: DeletionWorker, host: str, guest_id: str) -> None:
        del self, host, guest_id

    monkeypatch.setattr(DeletionWorker, "finish_unowned", nothing)
    assert complaint("is left in host-")


def test_a_write_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    host_status, look = projection.host_status, HostStatuses.look

    def restless(host: Any, facts: Any, *, now: datetime) -> Any:
        return host_status(host, replace(facts, guests=facts.guests + now.minute % 2), now=now)

    def looks_at_all(self: HostStatuses) -> None:
        look(self)
        for name in self._subset.hosts:
            self.touch(name)

    monkeypatch.setattr(projection, "host_status", restless)
    monkeypatch.setattr(HostStatuses, "look", looks_at_all)
    monkeypatch.setattr(histories, "verdict", lambda _world: iter(()))
    assert complaint("still written in the calm")


def test_a_process_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(self: Sweeper) -> Any:
        del self
        raise RuntimeError("planted")

    monkeypatch.setattr(Sweeper, "sweep", breaks)
    assert complaint("ended by itself")


def test_an_agent_that_forgets_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(self: OperationBook) -> None:
        del self

    monkeypatch.setattr(OperationBook, "load", nothing)
    assert complaint("oftener than", seeds=2 * MOST_SEEDS)  # few are killed while one is at work


def test_an_operation_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    write = OperationFlow._write

    async def tells_no_end(self: OperationFlow, key: Any, operation: Any, wanted: Any) -> None:
        if not OperationPhase(wanted.phase).is_final:
            await write(self, key, operation, wanted)

    monkeypatch.setattr(OperationFlow, "_write", tells_no_end)
    assert complaint("is not over")


def test_an_operation_that_is_given_up_by_the_time_of_day(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_its_creation(self: OperationFlow, key: Any, uid: str) -> float:
        del uid
        made = parse_rfc3339(self._subset.operations.by_key[key].metadata.creation_timestamp)
        return (self._clock.now() - made).total_seconds()

    monkeypatch.setattr(OperationFlow, "_age_s", by_its_creation)
    assert complaint(
        "is given up after", seeds=2 * MOST_SEEDS
    )  # few are asked for beside a clock that is ahead


def test_a_reboot_that_is_only_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(self: Operating, record: OperationRecord, *_: Any, **__: Any) -> OperationRecord:
        del self
        return record

    monkeypatch.setattr(Operating, "_reboot", nothing)
    assert complaint("whose machine never ended")


@pytest.mark.parametrize("policy", [RestartPolicy.ALWAYS, RestartPolicy.ON_FAILURE])
def test_a_guest_that_crashed_and_is_left_down(
    policy: RestartPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = plan._ended

    def lets_it_rest(phase: DomainPhase, restart_policy: str) -> plan.Step:
        return ended(phase, RestartPolicy.NEVER if restart_policy == policy else restart_policy)

    monkeypatch.setattr(plan, "_ended", lets_it_rest)
    assert complaint("'Crashed'", seeds=2 * MOST_SEEDS)  # it must crash last, and nothing wake it afterwards


def test_a_stop_at_the_host_that_a_newer_order_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "outlives", lambda *_, **__: None)
    assert complaint("where a person stopped it", seeds=2 * MOST_SEEDS)


def test_a_guest_taken_off_its_host_that_seems_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "is_destroyed", lambda _assignment: False)
    assert complaint("'ForgottenAtHost'), lives on", seeds=2 * MOST_SEEDS)


def test_a_guest_that_an_older_copy_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lack, "catching_up", lambda *_: None)
    assert complaint("by its Guest", world_kind=PutBackWorld)


def test_a_guest_that_is_not_back_after_a_restore(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(self: Making, held: Any, clusters: Any) -> None:
        del self, held, clusters

    monkeypatch.setattr(Making, "_revive", nothing)
    assert complaint("its Guest is not back", world_kind=PutBackWorld)


def test_an_address_that_is_not_held_after_a_restore(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(self: Revival, order: Any, places: Any = None) -> list[Any]:
        del self, order, places
        return []

    monkeypatch.setattr(Revival, "claim", nothing)
    assert complaint("which does not hold it", world_kind=PutBackWorld)


def test_one_seed_is_one_history() -> None:
    assert histories.run(3).log == histories.run(3).log


def test_tasks_are_ended_in_one_order_wherever_they_lie_in_memory() -> None:
    async def nothing() -> None:
        pass

    async def in_order(*, places: random.Random) -> list[str]:
        kept: list[object] = []
        tasks: set[asyncio.Task[None]] = set()
        for number in range(20):
            kept.append(bytearray(places.randrange(1, 2000)))
            tasks.add(asyncio.create_task(nothing(), name=str(number)))
        del kept
        return [each.get_name() for each in tasks]

    orders = set()
    for seed in range(20):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            orders.add(tuple(runner.run(in_order(places=random.Random(seed)))))  # noqa: S311 - no secret
    assert len(orders) == 1


def test_a_story_tells_how_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backlog, "helped", lambda _self: [])
    monkeypatch.setattr(Promises, "of_host", lambda _self, _host: Amounts(1, 1, 1))
    story = histories.run(0, events=3).story
    assert "hack/history --seed 0 --verbose" in story
    assert "calm" in story

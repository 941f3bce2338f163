"""What happens at a host: people stop, start and forget guests there, with or without an API server; its store is lost.

They ask the agent where one runs, else its store, as `innkeeper agent` does. The virtual loop reads no socket, so who
asks finds the agent by the path of its socket.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from innkeeper.agent import service
from innkeeper.agent.local import asking
from innkeeper.agent.local.messages import Answer, Question, Verb
from innkeeper.agent.paths import StatePaths
from innkeeper.errors import InnkeeperError
from innkeeper.kube.resources import GUESTS
from tests.kit.history.parts import HostPart
from tests.kit.history.witness import guest_id_of
from tests.kit.history.world import World

Answering = Callable[[Question], Awaitable[Answer]]
SOMEBODY = "alice"
MOSTLY = 0.8


class Ears:
    """Every agent that listens, by the path of its socket."""

    def __init__(self) -> None:
        self.listening: dict[Path, Answering] = {}

    @contextmanager
    def open(self) -> Iterator[None]:
        """Have agents listen here, and not at sockets; who asks finds them here too."""
        ears = self

        class Ear:
            def __init__(self, path: Path, answer: Answering) -> None:
                self._path, self._answer = path, answer

            async def run(self) -> None:
                ears.listening[self._path] = self._answer
                try:
                    await asyncio.Event().wait()
                finally:
                    del ears.listening[self._path]

        async def ask_agent(path: Path, question: Question) -> Answer | None:
            answer = self.listening.get(path)
            return await answer(question) if answer is not None else None

        with patch.object(service, "LocalSocket", Ear), patch.object(asking, "_ask_agent", ask_agent):
            yield


async def stop_at_host(world: World) -> str | None:
    """Somebody at a host stops a guest there."""
    if (found := _some_place(world)) is None:
        return None
    host, guest_id = found
    world.witness.operated.is_stopped_at_host(guest_id)
    said, is_done = await _ask(host, Verb.STOP, guest_id)
    if is_done:
        world.witness.may_be_off.add(guest_id)
        world.witness.must_be_off[guest_id] = asyncio.get_running_loop().time()
    else:
        world.witness.operated.was_not_stopped_at_host(guest_id)
    return f"stop {guest_id} at {host.host}: {said}"


async def start_at_host(world: World) -> str | None:
    """Somebody at a host starts a guest there, mostly one that was stopped there."""
    if (found := _some_place(world, world.witness.may_be_off)) is None:
        return None
    host, guest_id = found
    stopped_at = world.witness.must_be_off.pop(guest_id, None)
    said, is_done = await _ask(host, Verb.START, guest_id)
    if is_done:
        world.witness.may_be_off.discard(guest_id)
    elif stopped_at is not None:
        world.witness.must_be_off[guest_id] = stopped_at
    return f"start {guest_id} at {host.host}: {said}"


async def forget_at_host(world: World) -> str | None:
    """Somebody at a host takes a guest off it, mostly one that was stopped there."""
    if (found := _some_place(world, world.witness.may_be_off)) is None:
        return None
    host, guest_id = found
    was_forgotten = guest_id in world.witness.forgotten
    world.witness.forgotten.add(guest_id)
    said, is_done = await _ask(host, Verb.FORGET, guest_id)
    if not is_done and not was_forgotten:
        world.witness.forgotten.discard(guest_id)
    return f"forget {guest_id} at {host.host}: {said}"


async def lose_store(world: World) -> str | None:
    """A host's store is lost; its machines and their disks are there."""
    host = world.random.choice(list(world.hosts.values()))
    held = _held(world, host)
    if host.is_burnt or not world.witness.forgotten.isdisjoint(held):
        return None
    was_running = host.runs
    await host.lose_store()
    _forgets(world, held)
    if was_running:
        host.start()
    return f"{host.host} loses its store"


async def back_up_store(world: World) -> str | None:
    """Somebody backs a host's store up, in place of an earlier backup of it."""
    host = world.random.choice(list(world.hosts.values()))
    return f"back up the store of {host.host}" if host.back_up() else None


async def restore_store(world: World) -> str | None:
    """A host's store is lost, and put back from its backup."""
    kept = [host for host in world.hosts.values() if host.backup is not None and not host.is_burnt]
    if not kept:
        return None
    host = world.random.choice(kept)
    held = _held(world, host)
    if not world.witness.forgotten.isdisjoint(held):
        return None
    was_running = host.runs
    await host.lose_store()
    _forgets(world, held)
    host.put_store_back()
    if was_running:
        host.start()
    return f"{host.host} loses its store, and gets it back from its backup"


EVENTS = (
    (4.0, stop_at_host),
    (4.0, start_at_host),
    (1.5, forget_at_host),
    (1.0, lose_store),
    (3.0, back_up_store),
    (2.0, restore_store),
)


def _held(world: World, host: HostPart) -> list[str]:
    guests = world.api.objects(GUESTS)
    return [guest_id_of(each) for each in guests if each.get("status", {}).get("host") == host.host]


def _forgets(world: World, guests: Iterable[str]) -> None:
    """A host knows no more what people there wanted, and what it did."""
    for guest_id in guests:
        world.witness.must_be_off.pop(guest_id, None)
        world.witness.operated.may_be_done_again(guest_id)


def _some_place(world: World, wanted: AbstractSet[str] = frozenset()) -> tuple[HostPart, str] | None:
    """Return a guest, and the machine of the host that it is bound to: mostly one of those that are wanted."""
    places = [
        (world.hosts[host], guest_id_of(each))
        for each in world.api.objects(GUESTS)
        if (host := each.get("status", {}).get("host")) in world.hosts and not world.hosts[host].is_burnt
    ]
    those = [each for each in places if each[1] in wanted]
    chosen = those if those and world.random.random() < MOSTLY else places
    return world.random.choice(chosen) if chosen else None


async def _ask(host: HostPart, verb: Verb, guest_id: str) -> tuple[str, bool]:
    """Return what the host says, and whether it does it."""
    question = Question(verb=verb, guest=guest_id, by=SOMEBODY)
    try:
        answer = await asking.ask(StatePaths(host.directory), question, clock=host.clock)
    except InnkeeperError as error:
        return f"not possible: {error.message}", False
    return answer.said, True

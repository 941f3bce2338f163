"""Hosts are asked for usage: once for all who wait, not again at once, and never waited for without an end."""

import asyncio

import pytest

from innkeeper.domain.host_usage import GuestUsage, HostUsage
from innkeeper.hosts.ports import HostUnreadError
from innkeeper.query import usage as module
from innkeeper.query.usage import KEEP_S, UsageRoutes
from innkeeper.state.subset import Subset
from tests.kit.clock import ManualClock
from tests.kit.waiting import one_turn


class Hosts:
    """Hosts that answer, are silent, or cannot be asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.silent: set[str] = set()
        self.away: set[str] = set()

    async def usage(self, host: str) -> HostUsage:
        self.asked.append(host)
        await one_turn()
        if host in self.away:
            raise HostUnreadError(f"host {host} cannot be asked")
        if host in self.silent:
            await asyncio.Event().wait()
        guest = GuestUsage(guest_id=f"g-{host}", cpu_millis=1, memory_bytes=1)
        return HostUsage(host=host, at="2026-01-01T00:00:00Z", window_s=1.0, guests=[guest])


@pytest.fixture
def hosts() -> Hosts:
    return Hosts()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def routes(hosts: Hosts, clock: ManualClock) -> UsageRoutes:
    async def nobody(*_: object, **__: object) -> None:
        raise AssertionError

    return UsageRoutes(Subset(), hosts.usage, authorise=nobody, named=nobody, clock=clock)  # type: ignore[arg-type] # no request comes


async def test_who_asks_meanwhile_waits_for_the_same_answer(routes: UsageRoutes, hosts: Hosts) -> None:
    found = await asyncio.gather(*(routes._of("a") for _ in range(20)))
    assert hosts.asked == ["a"]
    assert {each.guests["g-a"].cpu_millis for each in found} == {1}


async def test_an_answer_is_kept_for_seconds_and_no_longer(
    routes: UsageRoutes, hosts: Hosts, clock: ManualClock
) -> None:
    await routes._of("a")
    clock.advance(KEEP_S - 1)
    await routes._of("a")
    assert hosts.asked == ["a"]
    clock.advance(1)
    await routes._of("b")
    assert set(routes._kept) == {"b"}, "what is not given again is not kept"
    await routes._of("a")
    assert hosts.asked == ["a", "b", "a"]


async def test_hosts_that_are_silent_or_away_keep_nothing_from_the_others(
    routes: UsageRoutes, hosts: Hosts, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIST_DEADLINE_S", 0.3)
    hosts.silent, hosts.away = {"silent"}, {"away"}
    found = await routes._all(["a", "silent", "away", "b"])
    assert {host for host, each in found.items() if isinstance(each, str)} == {"silent", "away"}
    assert "did not answer within" in str(found["silent"])
    assert found["away"] == "host away cannot be asked"
    # One that could not be asked is asked again after a while when somebody wants to know.
    hosts.away.clear()
    assert isinstance((await routes._all(["away"]))["away"], str)
    assert hosts.asked.count("away") == 1
    clock.advance(KEEP_S)
    assert not isinstance((await routes._all(["away"]))["away"], str)
    for task in routes._asked.values():
        task.cancel()


async def test_a_host_that_never_answers_is_given_up(
    routes: UsageRoutes, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HOST_DEADLINE_S", 0.05)
    hosts.silent = {"silent"}
    for _ in range(3):
        with pytest.raises(HostUnreadError, match="did not answer"):
            await routes._of("silent")
    assert hosts.asked == ["silent"], "who asks again at once is told what is known"
    assert not routes._asked

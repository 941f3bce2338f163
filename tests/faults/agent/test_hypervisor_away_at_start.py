"""The hypervisor is away while its agent starts: the agent is heard and answers as ever, and leaves guests alone."""

from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from kit import host_api as trial

from innkeeper.agent.drivers.driver import DomainState, Hypervisor, HypervisorAwayError
from innkeeper.agent.local.asking import ask
from innkeeper.agent.local.messages import Answer, Question, Verb
from innkeeper.agent.local.wishes import NotPossibleError
from innkeeper.agent.paths import StatePaths
from innkeeper.clock import SystemClock
from innkeeper.domain.host_store import Events, Snapshot
from innkeeper.domain.orders import OrderOperation
from innkeeper.kube.resources import HOST_AGENTS, LEASES
from innkeeper.views.assignment import Assignment, Held
from innkeeper.views.meta import Condition
from tests.kit import host_api
from tests.kit.agent_host import AgentHost, GatedDriver, failure
from tests.kit.agent_orders import STORE, guest_id, order
from tests.kit.clock import ManualClock
from tests.kit.host_api import HostFiles
from tests.kit.virtual_time import elapse, within

GUEST, OTHER, LATER = guest_id(), guest_id(2), guest_id(3)
HEARD_S = 40  # for how long a heartbeat counts


class AwayDriver(GatedDriver):
    """Refuses or leaves unanswered every question, until it is there."""

    fault = ""  # `refuses` or `hangs`

    async def probe(self) -> Hypervisor:
        """Find out what the machine has."""
        await self._may_be_away()
        return await super().probe()

    async def domains(self) -> dict[str, DomainState]:
        """Read the machines."""
        await self._may_be_away()
        return await super().domains()

    async def _may_be_away(self) -> None:
        if self.fault == "refuses":
            raise HypervisorAwayError("libvirt at test:///here cannot be reached")
        if self.fault == "hangs":
            await self.gates.at("hypervisor")


class Scene:
    """A host whose agent starts anew beside two guests, one of them running, while the hypervisor is away."""

    def __init__(self, host: AgentHost, driver: AwayDriver, directory: Path) -> None:
        self.host, self.driver = host, driver
        self._vouching = trial.authority(directory)
        files = HostFiles(directory / "files")
        files.fill(self._vouching)
        host.api_place = files.place()

    @property
    def clock(self) -> ManualClock:
        assert isinstance(self.host.clock, ManualClock)
        return self.host.clock

    async def begin(self, fault: str) -> None:
        """Have two guests; the agent ends, and the next one finds no hypervisor."""
        self.host.start()
        for number in (1, 2):
            await self.host.assign(order(number))
            await self.host.told(guest_id(number), "Running")
        await within(self.clock, HEARD_S, lambda: self.is_told("True"))
        await self.host.kill()
        self.driver.fault = fault
        self.host.gates.held.add("hypervisor")
        self.host.start()

    async def come_back(self) -> None:
        """Let the hypervisor answer."""
        self.driver.fault = ""
        self.host.gates.open()

    async def ready(self) -> Condition:
        """Return what the agent says of itself."""
        return (await self.host.host_agent()).status.conditions[0]

    async def is_told(self, status: str) -> bool:
        conditions = (await self.host.host_agent()).status.conditions
        return bool(conditions) and conditions[0].status == status

    async def heard_at(self) -> datetime:
        lease = await self.host.admin.get(LEASES, "heartbeat", namespace=self.host.namespace)
        assert lease.spec.renew_time
        return datetime.fromisoformat(lease.spec.renew_time)

    async def asked(self, path: str) -> bytes:
        """Ask the host API as the operator does."""
        address = (await self.host.host_agent()).status.address
        assert address
        shown = host_api.context(self._vouching, trial.operator_pair(self._vouching))
        answer = await host_api.ask(address, path, tls=shown)
        assert answer.status == 200, answer.body
        return answer.body

    async def say(self, verb: Verb, guest: str = "") -> Answer:
        """Ask at the host."""
        question = Question(verb=verb, guest=guest, by="root")
        return await ask(StatePaths(self.host.directory), question, clock=SystemClock())


@pytest.fixture(params=["refuses", "hangs"])
async def away(host: AgentHost, tmp_path: Path, request: pytest.FixtureRequest) -> Scene:
    """The scene, with a hypervisor that cannot be reached, and with one that does not answer."""
    host.clock, host.heartbeat_s = ManualClock(), 10
    driver = AwayDriver(host.clock)
    driver.gates, driver.asked = host.gates, host.driver.asked
    host.driver = driver
    (tmp_path / "api").mkdir()
    scene = Scene(host, driver, tmp_path / "api")
    await scene.begin(request.param)
    return scene


async def test_its_agent_is_heard_and_says_so(away: Scene) -> None:
    had = (await away.host.host_agent()).status
    before = await away.heard_at()
    await within(away.clock, HEARD_S, lambda: away.is_told("False"))
    await elapse(away.clock, 300)
    assert (await away.heard_at() - before).total_seconds() > 300 - HEARD_S
    told, said = (await away.host.host_agent()).status, await away.ready()
    assert said.reason == "DriverFailed"
    assert "hypervisor" in said.message or "libvirt" in said.message
    assert (told.capacity, told.hypervisor, told.store_id) == (had.capacity, "KVM", STORE)
    await away.come_back()
    await within(away.clock, HEARD_S, lambda: away.is_told("True"))


async def test_a_new_host_says_so_before_it_knows_what_it_has(host: AgentHost) -> None:
    host.clock = clock = ManualClock()
    driver = AwayDriver(clock)
    driver.gates, driver.fault = host.gates, "refuses"
    host.driver = driver
    host.start()

    async def is_told(status: str) -> bool:
        return [each.status for each in (await host.host_agent()).status.conditions] == [status]

    await within(clock, HEARD_S, lambda: is_told("False"))
    told = (await host.host_agent()).status
    assert (told.store_id, told.hypervisor, told.capacity) == (STORE, None, None)
    driver.fault = ""
    await within(clock, HEARD_S, lambda: is_told("True"))
    told = (await host.host_agent()).status
    assert (told.hypervisor, told.capacity is None) == ("KVM", False)


async def test_the_host_api_is_served(away: Scene) -> None:
    await within(away.clock, HEARD_S, lambda: away.is_told("False"))
    found = msgspec.json.decode(await away.asked("/v1/snapshot"), type=Snapshot)
    assert {each.guest_id for each in found.guests} == {GUEST, OTHER}
    news = msgspec.json.decode(await away.asked(f"/v1/events?store={STORE}&since=0"), type=Events)
    assert {each.guest_id for each in news.guests} == {GUEST, OTHER}


async def test_a_person_at_the_host_is_answered(away: Scene) -> None:
    await within(away.clock, HEARD_S, lambda: away.is_told("False"))
    answer = await away.say(Verb.LIST)
    assert [(each.name, each.machine, each.reason) for each in answer.guests] == [
        ("web-1", None, "Running"),
        ("web-2", None, "Running"),
    ]
    assert "hypervisor" in answer.said
    assert "away" in answer.said
    with pytest.raises(NotPossibleError, match="not known whether it is off"):
        await away.say(Verb.FORGET, GUEST)
    assert "hypervisor" in (await away.say(Verb.STOP, GUEST)).said
    assert away.driver.running() == {GUEST, OTHER}
    await away.come_back()
    await within(away.clock, HEARD_S, lambda: away.driver.running() == {OTHER})
    assert (await away.say(Verb.LIST)).said == ""


async def test_news_of_the_host_itself_are_read(away: Scene) -> None:
    spec = {"reserved": {"memory": "3Gi"}}
    await away.host.admin.patch(HOST_AGENTS, "host", {"spec": spec}, namespace=away.host.namespace)

    async def is_kept() -> bool:
        if (await away.ready()).status != "False":
            return False
        found = msgspec.json.decode(await away.asked("/v1/snapshot"), type=Snapshot)
        return found.settings is not None and found.settings.reserved.memory == "3Gi"

    await within(away.clock, HEARD_S, is_kept)


async def test_no_guest_is_decided_about_before_it_was_read(away: Scene) -> None:
    """One crashed, one is to stop, and one is new: all of it waits, however long, and is done afterwards."""
    away.driver.crash(GUEST)
    await away.host.assign(order(2, serial=2, desired="Stopped"))
    await away.host.assign(order(3))
    await elapse(away.clock, 900)
    assert away.driver.running() == {OTHER}
    assert dict(away.driver.starts) == {GUEST: 1, OTHER: 1}
    assert (await away.host.assignment(LATER)).status.outcome is None, "whether it fits is not known"
    await away.come_back()
    await within(away.clock, HEARD_S, lambda: away.driver.running() == {GUEST, LATER})
    assert (await away.host.told(OTHER, "Stopped")).status == "True"
    await away.host.told(LATER, "Running")
    assert dict(away.driver.starts) == {GUEST: 2, OTHER: 1, LATER: 1}


async def test_nothing_is_said_to_be_well_by_a_newer_order_before_it_was_read(away: Scene) -> None:
    """The host was rebooted, so the guest is off."""
    await away.host.kill()
    away.host.reboot()
    away.host.start()
    await away.host.assign(order(serial=2, spec={"restart_policy": "Never"}))
    await elapse(away.clock, 120)
    found = await away.host.assignment(GUEST)
    assert not away.driver.running()
    assert [each.status for each in found.status.conditions if is_of_now(each, found)] in ([], ["False"])
    await away.come_back()
    await within(away.clock, HEARD_S, lambda: GUEST in away.driver.running())
    assert (await away.host.told(GUEST, "Running")).observed_generation == found.metadata.generation
    assert (await away.host.assignment(GUEST)).status.held == Held(epoch=1, serial=2)


def is_of_now(condition: Condition, assignment: Assignment) -> bool:
    return condition.observed_generation == assignment.metadata.generation


async def test_an_operation_waits_and_is_done_once(away: Scene) -> None:
    reboot = OrderOperation(id="operation-1", kind="HardReboot")
    await away.host.assign(order(serial=2, operation=reboot))
    await elapse(away.clock, 900)
    assert away.driver.starts[GUEST] == 1
    await away.come_back()
    await within(away.clock, HEARD_S, lambda: away.driver.starts[GUEST] == 2)
    assert (await away.host.ended_operation(GUEST, "operation-1")).phase == "Succeeded"


async def test_a_hypervisor_that_comes_late_is_waited_for(host: AgentHost) -> None:
    calls = 0
    probe = host.driver.probe

    async def late() -> object:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise failure("DriverFailed", "libvirt does not answer")
        return await probe()

    host.driver.probe = late  # type: ignore[assignment,method-assign] # a hypervisor that is not up yet
    host.start()
    await host.assign(order())
    await host.told(GUEST, "Running")
    assert calls == 2

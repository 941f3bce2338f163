"""The libvirt driver keeps the promises of every driver, on a real libvirt with real QEMUs."""

import asyncio
import grp
import os
import pwd
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import libvirt
import pytest

from innkeeper.agent.drivers.driver import (
    DomainInterface,
    DomainPhase,
    DomainSpec,
    DriverError,
    HypervisorAwayError,
    StartFailedError,
)
from innkeeper.agent.drivers.libvirt import driver as driver_module
from innkeeper.agent.drivers.libvirt.domain_xml import domain_name
from innkeeper.agent.drivers.libvirt.driver import LibvirtDriver
from innkeeper.agent.drivers.libvirt.qemu_user import qemu_user
from innkeeper.agent.drivers.libvirt.usage import MOST_UNANSWERED
from innkeeper.agent.imaging import iso9660
from tests.kit import boot_programs
from tests.kit.driver_conformance import (
    GUEST,
    OTHER,
    Bench,
    DriverConformance,
    Heard,
    instance,
    is_phase,
    phase,
)
from tests.kit.private_libvirt import BRIDGE, PrivateLibvirt
from tests.kit.waiting import eventually

GOLDEN = Path(__file__).parents[2] / "golden" / "domain"

pytestmark = pytest.mark.lab


class LibvirtBench:
    """Boot sectors on a libvirt of its own."""

    def __init__(self, libvirtd: PrivateLibvirt) -> None:
        self.libvirtd = libvirtd
        self.driver = LibvirtDriver(libvirtd.uri, disk_directory=libvirtd.directory, press_again_s=0.5)

    async def guest(self, guest_id: str, program: bytes) -> DomainSpec:
        """Make the files of a guest: an overlay over a raw image, as builds make them."""
        files = self.libvirtd.directory / "guests" / guest_id
        await asyncio.to_thread(files.mkdir, parents=True, exist_ok=True)
        base = files / "base.raw"
        base.write_bytes(boot_programs.disk(program))
        (files / "seed.iso").write_bytes(iso9660.volume("cidata", {"meta-data": b"{}"}))
        command = f"qemu-img create -q -f qcow2 -F raw -b {base} {files}/disk.qcow2 2M"
        assert await (await asyncio.create_subprocess_exec(*command.split())).wait() == 0
        return DomainSpec(
            guest_id=guest_id,
            cpu_millis=500,
            memory_bytes=32 * 1024**2,
            disk=files / "disk.qcow2",
            seed=files / "seed.iso",
            interfaces=(DomainInterface(BRIDGE, "02:00:00:00:00:01", f"ikt{guest_id[-12:]}"),),
            console_log=files / "console.log",
        )

    async def polite(self, guest_id: str) -> DomainSpec:
        return await self.guest(guest_id, boot_programs.POLITE)

    async def deaf(self, guest_id: str) -> DomainSpec:
        return await self.guest(guest_id, boot_programs.DEAF)

    async def power_off_by_itself(self, guest_id: str) -> None:
        await self.driver.define(await self.guest(guest_id, boot_programs.SHORT_LIVED))
        await self.driver.start(guest_id)

    def kill(self, guest_id: str) -> None:
        for pid in self.libvirtd.machine_pids(guest_id):
            os.kill(pid, signal.SIGKILL)

    def alive(self, guest_id: str) -> int:
        return len(self.libvirtd.machine_pids(guest_id))


@pytest.fixture(scope="module")
def libvirtd() -> Iterator[PrivateLibvirt]:
    assert os.geteuid() == 0, "a libvirt of its own needs namespaces: run this as root"
    made = PrivateLibvirt()
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
async def libvirt_bench(libvirtd: PrivateLibvirt) -> AsyncIterator[LibvirtBench]:
    made = LibvirtBench(libvirtd)
    yield made
    cleaner = LibvirtDriver(libvirtd.uri, disk_directory=libvirtd.directory)
    for guest_id in await cleaner.domains():
        await cleaner.remove(guest_id)
    await cleaner.close()
    await made.driver.close()


def test_libvirt_names_the_user_of_guests(libvirtd: PrivateLibvirt) -> None:
    """The doctor compares it with /dev/kvm. It is Debian's, whom libvirt's settings there name."""
    told = qemu_user(libvirt.openReadOnly(libvirtd.uri).getCapabilities())
    assert told == (pwd.getpwnam("libvirt-qemu").pw_uid, grp.getgrnam("libvirt-qemu").gr_gid)


class TestLibvirt(DriverConformance):
    """The suite, on libvirt."""

    @pytest.fixture
    async def bench(self, libvirt_bench: LibvirtBench) -> Bench:
        return libvirt_bench


class TestFaults:
    """What only a real hypervisor can do to the agent."""

    async def test_guests_outlive_libvirtd_and_the_driver_comes_back(
        self, libvirt_bench: LibvirtBench
    ) -> None:
        bench = libvirt_bench
        await bench.driver.define(await bench.polite(GUEST))
        await bench.driver.start(GUEST)
        before = bench.libvirtd.machine_pids(GUEST)
        heard = Heard(bench.driver)
        bench.libvirtd.end_daemon()
        with pytest.raises(DriverError, match="libvirt"):
            await eventually(lambda: is_phase(bench, DomainPhase.CRASHED), deadline_s=30)
        bench.libvirtd.start_daemon()
        await eventually(lambda: any(event.guest_id is None for event in heard.events), deadline_s=60)
        assert await phase(bench) is DomainPhase.RUNNING
        assert bench.libvirtd.machine_pids(GUEST) == before
        await bench.driver.stop(GUEST, grace_s=10)
        await heard.of(GUEST)
        await heard.close()

    async def test_a_machine_that_stands_still_holds_no_other_up(self, libvirt_bench: LibvirtBench) -> None:
        """A stopped QEMU answers nothing on its monitor, so the call to it hangs; calls for others do not."""
        bench = libvirt_bench
        await bench.driver.define(await bench.polite(GUEST))
        await bench.driver.start(GUEST)
        [still] = bench.libvirtd.machine_pids(GUEST)
        os.kill(still, signal.SIGSTOP)
        hung = asyncio.ensure_future(bench.driver.stop(GUEST, grace_s=300))
        try:
            async with asyncio.timeout(40):
                await bench.driver.define(await bench.polite(OTHER))
                await bench.driver.start(OTHER)
                found = await bench.driver.domains()
                await bench.driver.stop(OTHER, grace_s=20)
            assert {found[GUEST].phase, found[OTHER].phase} == {DomainPhase.RUNNING}
            assert not hung.done()
        finally:
            os.kill(still, signal.SIGCONT)
            hung.cancel()
            await asyncio.gather(hung, return_exceptions=True)
        await bench.driver.stop(GUEST, grace_s=20)
        assert bench.alive(GUEST) == bench.alive(OTHER) == 0

    async def test_however_many_machines_stand_still_others_start_and_all_of_them_end(
        self, libvirt_bench: LibvirtBench
    ) -> None:
        """More than there are threads to ask them, with a stop and a pull of each, and somebody who asks for usage.

        While so many are asked that one thread is left, a healthy guest shuts down by itself; while none is left, it
        keeps its power until one is.
        """
        bench = libvirt_bench
        guests = [f"93c5d1ab-93c5-4b62-8a0e-{number:012d}" for number in range(driver_module.ASKS + 2)]
        for guest_id in guests:
            await bench.driver.define(await bench.polite(guest_id))
            await bench.driver.start(guest_id)
        for guest_id in guests:
            [still] = bench.libvirtd.machine_pids(guest_id)
            os.kill(still, signal.SIGSTOP)
        few = driver_module.ASKS - 1
        hung = [asyncio.create_task(bench.driver.pull(each, bytes_per_s=0)) for each in guests]
        stops = [asyncio.create_task(bench.driver.stop(each, grace_s=600)) for each in guests[:few]]
        hung += [asyncio.create_task(bench.driver.usage()) for _ in range(MOST_UNANSWERED)]
        try:
            await eventually(lambda: bench.driver._asks.unanswered >= few)
            await bench.driver.define(await bench.polite(OTHER))
            await bench.driver.start(OTHER)
            await bench.driver.stop(OTHER, grace_s=120)
            assert await phase(bench, OTHER) is DomainPhase.COMPLETED, "it shut down by itself"
            await bench.driver.start(OTHER)
            stops += [asyncio.create_task(bench.driver.stop(each, grace_s=600)) for each in guests[few:]]
            await eventually(lambda: bench.driver._asks.unanswered == len(guests))
            with pytest.raises(HypervisorAwayError, match="was not asked"):
                await bench.driver.stop(OTHER, grace_s=1)
            found = await bench.driver.domains()
            assert {each.phase for each in found.values()} == {DomainPhase.RUNNING}
            ends = (bench.driver.stop(each, grace_s=0) for each in [*guests, OTHER])
            await asyncio.gather(*ends)
            assert sum(bench.alive(each) for each in [*guests, OTHER]) == 0
            ended = await asyncio.gather(*stops, return_exceptions=True)
            assert ended == [None] * len(guests), "each saw that its machine is off"
        finally:
            for each in [*hung, *stops]:
                each.cancel()
            await asyncio.gather(*hung, *stops, return_exceptions=True)
        await eventually(lambda: bench.driver._asks.unanswered == 0, deadline_s=60)

    async def test_a_machine_that_stands_still_keeps_no_other_s_usage_from_who_asks(
        self, libvirt_bench: LibvirtBench
    ) -> None:
        bench = libvirt_bench
        for guest_id in (GUEST, OTHER):
            await bench.driver.define(await bench.polite(guest_id))
            await bench.driver.start(guest_id)
        [still] = bench.libvirtd.machine_pids(GUEST)
        os.kill(still, signal.SIGSTOP)
        try:
            # Answers come again and again, though the first questions may be lost.
            for _ in range(2 * MOST_UNANSWERED):
                await eventually(lambda: tells_of(bench, OTHER), deadline_s=60)
        finally:
            os.kill(still, signal.SIGCONT)
        await eventually(lambda: tells_of(bench, GUEST, OTHER), deadline_s=60)

    async def test_a_libvirt_that_hangs_is_not_asked_for_usage_again_and_again(
        self, libvirt_bench: LibvirtBench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(driver_module, "USAGE_DEADLINE_S", 0.2)
        bench = libvirt_bench
        await bench.driver.domains()
        [daemon] = bench.libvirtd._pids("libvirtd")
        os.kill(daemon, signal.SIGSTOP)
        try:
            for _ in range(MOST_UNANSWERED):
                with pytest.raises(DriverError):
                    await bench.driver.usage()
            with pytest.raises(DriverError, match="has not answered the last questions"):
                await bench.driver.usage()
        finally:
            os.kill(daemon, signal.SIGCONT)

        async def answers() -> bool:
            try:
                return await bench.driver.usage() == {}
            except DriverError:
                return False

        await eventually(answers, deadline_s=60)

    async def test_a_machine_that_died_while_libvirtd_was_away_is_crashed(
        self, libvirt_bench: LibvirtBench
    ) -> None:
        bench = libvirt_bench
        await bench.driver.define(await bench.polite(GUEST))
        await bench.driver.start(GUEST)
        bench.libvirtd.end_daemon()
        bench.kill(GUEST)
        bench.libvirtd.start_daemon()

        async def crashed() -> bool:
            try:
                return await is_phase(bench, DomainPhase.CRASHED)
            except DriverError:
                return False

        await eventually(crashed, deadline_s=60)

    async def test_a_paused_guest_goes_on_when_started_and_ends_when_stopped(
        self, libvirt_bench: LibvirtBench
    ) -> None:
        bench = libvirt_bench
        await bench.driver.define(await bench.polite(GUEST))
        await bench.driver.start(GUEST)
        await asyncio.to_thread(_suspend, bench.libvirtd.uri)
        assert await phase(bench) is DomainPhase.PAUSED
        await bench.driver.start(GUEST)
        assert await phase(bench) is DomainPhase.RUNNING
        await asyncio.to_thread(_suspend, bench.libvirtd.uri)
        await bench.driver.stop(GUEST, grace_s=1)
        assert bench.alive(GUEST) == 0

    async def test_a_machine_is_the_same_instance_after_libvirtd_began_anew(
        self, libvirt_bench: LibvirtBench
    ) -> None:
        bench = libvirt_bench
        await bench.driver.define(await bench.polite(GUEST))
        await bench.driver.start(GUEST)
        before = await instance(bench)
        bench.libvirtd.end_daemon()
        bench.libvirtd.start_daemon()

        async def is_read() -> bool:
            try:
                return await is_phase(bench, DomainPhase.RUNNING)
            except DriverError:
                return False

        await eventually(is_read, deadline_s=60)
        assert await instance(bench) == before

    async def test_a_machine_without_its_disk_does_not_start(self, libvirt_bench: LibvirtBench) -> None:
        bench = libvirt_bench
        spec = await bench.polite(GUEST)
        await bench.driver.define(spec)
        spec.disk.unlink()
        with pytest.raises(StartFailedError, match="does not start"):
            await bench.driver.start(GUEST)
        assert bench.alive(GUEST) == 0

    @pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.xml")), ids=lambda file: str(file.stem))
    async def test_libvirts_own_schema_takes_each_machine(
        self, libvirt_bench: LibvirtBench, file: Path
    ) -> None:
        await asyncio.to_thread(_validate, libvirt_bench.libvirtd.uri, file)

    async def test_other_machines_of_the_host_are_left_out(self, libvirt_bench: LibvirtBench) -> None:
        uri = libvirt_bench.libvirtd.uri
        await asyncio.to_thread(_define_foreign, uri)
        assert await libvirt_bench.driver.domains() == {}
        await asyncio.to_thread(_undefine_foreign, uri)

    async def test_a_libvirt_that_is_not_there_is_said_at_once(self, tmp_path: Path) -> None:
        driver = LibvirtDriver(f"qemu+unix:///system?socket={tmp_path}/none", disk_directory=tmp_path)
        with pytest.raises(HypervisorAwayError, match="cannot be reached"):
            await driver.domains()
        await driver.close()


async def tells_of(bench: LibvirtBench, *guest_ids: str) -> bool:
    """Tell whether these machines say how much they take; a busy one may not, nor a busy libvirt."""
    try:
        found = await bench.driver.usage()
    except DriverError:
        return False
    return all(found[guest_id].memory_bytes > 0 for guest_id in guest_ids)


def _validate(uri: str, file: Path) -> None:
    # Without KVM libvirt refuses the type `kvm`, which is no matter of the schema.
    text = (
        file.read_text()
        .replace('type="kvm"', 'type="qemu"')
        .replace('<cpu mode="host-passthrough" check="none" />', "")
    )
    connection = libvirt.open(uri)
    connection.defineXMLFlags(text, libvirt.VIR_DOMAIN_DEFINE_VALIDATE).undefine()
    connection.close()


def _suspend(uri: str) -> None:
    connection = libvirt.open(uri)
    connection.lookupByName(domain_name(GUEST)).suspend()
    connection.close()


def _define_foreign(uri: str) -> None:
    connection = libvirt.open(uri)
    connection.defineXML(
        "<domain type='qemu'><name>foreign</name><memory>4096</memory>"
        "<os><type arch='x86_64'>hvm</type></os></domain>"
    )
    connection.close()


def _undefine_foreign(uri: str) -> None:
    connection = libvirt.open(uri)
    connection.lookupByName("foreign").undefine()
    connection.close()

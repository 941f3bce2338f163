"""Step 4: the machine is made known to the hypervisor."""

from innkeeper.agent.build.build import HYPERVISOR, Build
from innkeeper.agent.drivers.driver import DomainInterface, DomainSpec
from innkeeper.domain.reasons import GuestReason


async def define(build: Build) -> None:
    """Define the machine; a definition that is there is replaced by the same."""
    build.at(GuestReason.STARTING)
    order = build.order
    spec = DomainSpec(
        guest_id=order.guest_id,
        cpu_millis=order.resources.cpu_millis,
        memory_bytes=order.resources.memory_bytes,
        disk=build.files.disk,
        seed=build.files.seed,
        interfaces=tuple(DomainInterface(build.bridge, mac) for mac in _macs(build)),
        console_log=build.files.console_log,
    )
    with build.stopwatch.outside(HYPERVISOR):
        await build.driver.define(spec)


def _macs(build: Build) -> list[str]:
    """Return one MAC for each interface, in the order of the addresses."""
    return list({address.interface: address.mac for address in build.order.addresses}.values())

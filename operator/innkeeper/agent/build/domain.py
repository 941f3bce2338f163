"""Step 6: the machine is made known to the hypervisor."""

from innkeeper.agent.build.build import HYPERVISOR, Build
from innkeeper.agent.drivers.driver import DomainSpec
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
        interfaces=build.interfaces,
        console_log=build.files.console_log,
    )
    with build.stopwatch.outside(HYPERVISOR):
        await build.driver.define(spec)

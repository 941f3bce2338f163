"""What the agent says in the status of its HostAgent: who it is, what the machine has, whether it can run guests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from innkeeper import __version__
from innkeeper.agent.drivers.driver import Hypervisor
from innkeeper.agent.report import Key, condition_of
from innkeeper.agent.store.records import Ready
from innkeeper.clock import Clock
from innkeeper.domain.quantity import Amounts, format_bytes, format_cpu
from innkeeper.domain.reasons import GuestReason, HostReason
from innkeeper.errors import InnkeeperError
from innkeeper.kube.conditions import document, documents
from innkeeper.views.host import HostAgent, HostAgentStatus
from innkeeper.views.meta import Resources

UNKNOWN = "unknown"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class HostReport:
    """The report of one host."""

    store_id: str
    boot_id: str
    driver: str
    hypervisor: Callable[[], Hypervisor | None]  # None until it was read
    trouble: Callable[[], str | None]  # why machines cannot be read now
    network_trouble: Callable[[], str | None]
    store_trouble: Callable[[], InnkeeperError | None]  # why orders cannot be kept now
    address: Callable[[], str | None]  # where the host API listens
    images: Callable[[], Mapping[str, int]]  # percent that is here, by digest
    read: Callable[[Key], HostAgent | None]
    clock: Clock
    certificate_request: Callable[[], str | None] = lambda: None

    def render(self, key: Key) -> dict[str, Any] | None:
        """Return the status that the HostAgent should have, or None where it has it, or nothing can be said yet."""
        agent, hypervisor = self.read(key), self.hypervisor()
        if agent is None or (hypervisor is None and self.trouble() is None):
            return None
        condition = condition_of(self._ready(), generation=agent.metadata.generation)
        status = {
            "observedGeneration": agent.metadata.generation,
            "storeId": self.store_id,
            "agentVersion": __version__,
            "bootId": self.boot_id,
            "address": self.address(),
            "driver": self.driver,
            **_machine(hypervisor, told=agent.status),
            "images": [{"digest": digest, "percent": percent} for digest, percent in self.images().items()],
            "certificateRequest": self.certificate_request(),
            "conditions": documents(agent.status.conditions, [condition], now=self.clock.now()),
        }
        return None if _is_told(status, agent.status) else status

    def _ready(self) -> Ready:
        trouble = self.trouble()
        if trouble is not None:
            return Ready(status=False, reason=GuestReason.DRIVER_FAILED, message=trouble)
        trouble = self.network_trouble()
        if trouble is not None:
            return Ready(status=False, reason=GuestReason.NETWORK_FAILED, message=trouble)
        unkept = self.store_trouble()
        if unkept is not None:
            return Ready(status=False, reason=unkept.reason, message=unkept.message)
        return Ready(status=True, reason=HostReason.READY)


def _machine(hypervisor: Hypervisor | None, *, told: HostAgentStatus) -> dict[str, Any]:
    """Return what the machine is and has; one whose hypervisor was not read yet has what was told of it last."""
    if hypervisor is None:
        return {"hypervisor": told.hypervisor, "capacity": _amounts(told.capacity)}
    has = hypervisor.capacity
    # A file system may claim any size; the API server would refuse the whole report for it.
    capacity = Amounts(has.cpu_millis, has.memory_bytes, has.disk_bytes).bounded()
    amounts = {
        "cpu": format_cpu(capacity.cpu_millis),
        "memory": format_bytes(capacity.memory_bytes),
        "disk": format_bytes(capacity.disk_bytes),
    }
    return {"hypervisor": str(hypervisor.kind), "capacity": amounts}


def _amounts(told: Resources | None) -> dict[str, str | None] | None:
    return {"cpu": told.cpu, "memory": told.memory, "disk": told.disk} if told else None


def _is_told(status: dict[str, Any], told: HostAgentStatus) -> bool:
    return status == {
        "observedGeneration": told.observed_generation,
        "storeId": told.store_id,
        "agentVersion": told.agent_version,
        "bootId": told.boot_id,
        "address": told.address,
        "hypervisor": told.hypervisor,
        "driver": told.driver,
        "capacity": _amounts(told.capacity),
        "images": [{"digest": each.digest, "percent": each.percent} for each in told.images],
        "certificateRequest": told.certificate_request,
        "conditions": [document(each) for each in told.conditions],
    }


def boot_id() -> str:
    """Return the ID of the machine's boot, or `unknown`."""
    try:
        return _BOOT_ID.read_text()[:64].strip()
    except OSError:
        return UNKNOWN

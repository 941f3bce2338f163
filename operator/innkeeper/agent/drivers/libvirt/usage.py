"""What machines take, from libvirt's one bulk call, which waits for no machine that is busy with another call.

A machine that stands still makes the call hang that meets it first; from then on it counts as busy, and later calls pass
it over. So a question without an answer is asked once more. Each keeps a thread while it hangs: few may.
"""

from collections.abc import Callable, Mapping
from typing import Any

import libvirt

from innkeeper.agent.drivers.driver import DomainUsage
from innkeeper.agent.drivers.libvirt import domain_xml as xml

MOST_UNANSWERED = 3
_WANTED = (
    libvirt.VIR_DOMAIN_STATS_CPU_TOTAL | libvirt.VIR_DOMAIN_STATS_BALLOON | libvirt.VIR_DOMAIN_STATS_VCPU
)
_HOW = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT


def read_usage(connection: Any, *, instance_of: Callable[[Any], str]) -> dict[str, DomainUsage]:
    """Return the usage of all machines of ours that live. Blocking. `instance_of` tells which run of its machine it is.

    Raises:
        libvirt.libvirtError: libvirt answered with an error.
    """
    found = {}
    for domain, figures in connection.getAllDomainStats(_WANTED, _HOW):
        guest_id = xml.guest_id_of(domain.name())
        if guest_id is not None:
            found[guest_id] = DomainUsage(
                instance=instance_of(domain),
                cpu_seconds=_cpu_ns(figures) / 1e9,
                memory_bytes=figures.get("balloon.rss", 0) * 1024,
            )
    return found


def _cpu_ns(figures: Mapping[str, Any]) -> int:
    """Return the processor time of a whole machine; where libvirt sees no control groups, that of its processors."""
    whole = figures.get("cpu.time")
    if whole is not None:
        return int(whole)
    count = int(figures.get("vcpu.maximum", 0))
    return sum(int(figures.get(f"vcpu.{number}.time", 0)) for number in range(count))

"""Starts the same guests in three ways, so many at once, again and again."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kit import one_host, steps
from kit.first_guest import objects
from kit.first_guest.figures import percentile
from kit.one_host import OneHost
from kit.start import by_hand

NAME = "bench-start"
SUBNET = "10.75.0.0/24"


@dataclass(frozen=True)
class Starts:
    """The milliseconds of each start."""

    agent: list[float] = field(default_factory=list)
    """From the order in the API server to the host's report of Running there."""
    virsh: list[float] = field(default_factory=list)
    qemu: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Return what the agent adds to libvirt, and libvirt to QEMU."""
        agent, virsh, qemu = (sorted(each) for each in (self.agent, self.virsh, self.qemu))
        return {
            "added_ms_p50": round(percentile(agent, 50) - percentile(virsh, 50), 1),
            "added_ms_p99": round(percentile(agent, 99) - percentile(virsh, 99), 1),
            "libvirt_over_qemu_ms_p50": round(percentile(virsh, 50) - percentile(qemu, 50), 1),
        }


def measure(repeats: dict[int, int]) -> dict[int, Starts]:
    """Return the starts by how many were started at once; `repeats` says how often each number is tried."""
    most = max(repeats)
    guests = [f"guest-{number}" for number in range(most)]
    with one_host.standing(NAME, subnet=SUBNET) as lab:
        with steps.step(f"building {most} guests"):
            lab.apply(*(objects.guest(each) for each in guests))
            lab.wait_for(*guests, reason="Running")
            _stop(lab, guests)
            ids = [lab.guest_id(each) for each in guests]
        return {
            number: _started(lab, guests[:number], ids[:number], times) for number, times in repeats.items()
        }


def _started(lab: OneHost, guests: Sequence[str], ids: Sequence[str], times: int) -> Starts:
    found = Starts()
    with steps.step(f"starting {len(guests)} at once, {times} times each way"):
        for _ in range(times):
            since = lab.audit_log.stat().st_size
            lab.apply(*(objects.guest(each, power="Running") for each in guests))
            lab.wait_for(*guests, reason="Running")
            found.agent.extend(lab.order_to_report_ms(ids, since=since, given_by="patch"))
            _stop(lab, guests)
        lab.agent("stop")
        for _ in range(times):
            found.virsh.extend(by_hand.virsh_ms(lab, ids))
            found.qemu.extend(by_hand.qemu_ms(lab, ids))
        lab.agent("start")
    return found


def _stop(lab: OneHost, guests: Sequence[str]) -> None:
    lab.apply(*(objects.guest(each, power="Stopped") for each in guests))
    lab.wait_for(*guests, reason="Stopped")


def print_table(found: dict[int, Starts]) -> None:
    """Print the starts for people."""
    steps.say("")
    steps.say(
        f"{'at once':>8} {'starts':>7} {'agent P50 P99, ms':>20} {'virsh P50 P99, ms':>20} {'QEMU P50 P99, ms':>20}"
    )
    for number, starts in found.items():
        columns = "".join(
            f"{percentile(sorted(each), 50):>13.0f} {percentile(sorted(each), 99):>7.0f}"
            for each in (starts.agent, starts.virsh, starts.qemu)
        )
        steps.say(f"{number:>8} {len(starts.agent):>7}{columns}")

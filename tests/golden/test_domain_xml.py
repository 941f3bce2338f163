"""The machines that libvirt is given, as checked in; whether libvirt takes them is tested with the driver.

INNKEEPER_UPDATE_GOLDEN=1 writes the files anew; look at the difference before it is committed.
"""

import os
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from innkeeper.agent.drivers.driver import DomainInterface, DomainSpec, HypervisorKind
from innkeeper.agent.drivers.libvirt import domain_xml as xml

GOLDEN = Path(__file__).parent / "domain"
GUEST = "0e4d6e1c-6c53-4a41-9f04-7c1f6e0b5a11"
STATE = Path("/var/lib/innkeeper/guests") / GUEST


def a_spec(*, guest_id: str = GUEST, cpu_millis: int = 1500, interfaces: int = 1) -> DomainSpec:
    return DomainSpec(
        guest_id=guest_id,
        cpu_millis=cpu_millis,
        memory_bytes=512 * 1024**2,
        disk=STATE / "disk.qcow2",
        seed=STATE / "seed.iso",
        interfaces=tuple(
            DomainInterface("br0", f"02:00:00:00:00:{n:02x}", f"ikt{n:012x}") for n in range(interfaces)
        ),
        console_log=STATE / "console.log",
    )


CASES = {
    "kvm": (a_spec(), HypervisorKind.KVM),
    "emulation": (a_spec(), HypervisorKind.EMULATION),
    "no-network": (a_spec(interfaces=0, cpu_millis=100), HypervisorKind.KVM),
    "large": (a_spec(cpu_millis=240_000, interfaces=2), HypervisorKind.KVM),
}


@pytest.mark.parametrize("case", CASES)
def test_machine_is_as_checked_in(case: str) -> None:
    spec, hypervisor = CASES[case]
    text = xml.domain_xml(spec, hypervisor=hypervisor) + "\n"
    file = GOLDEN / f"{case}.xml"
    if os.environ.get("INNKEEPER_UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()


def test_no_format_is_left_to_be_probed() -> None:
    root = ET.fromstring(xml.domain_xml(a_spec(), hypervisor=HypervisorKind.KVM))  # noqa: S314 - our own text
    assert [disk.get("type") for disk in root.findall("devices/disk/driver")] == ["qcow2", "raw"]


def test_a_machine_that_ends_stays_off() -> None:
    root = ET.fromstring(xml.domain_xml(a_spec(), hypervisor=HypervisorKind.KVM))  # noqa: S314 - our own text
    assert (root.findtext("on_poweroff"), root.findtext("on_crash")) == ("destroy", "destroy")


@pytest.mark.parametrize("guest_id", [GUEST, "not-a-uuid"])
def test_a_guest_is_known_by_its_name(guest_id: str) -> None:
    assert xml.guest_id_of(xml.domain_name(guest_id)) == guest_id
    assert xml.domain_uuid(guest_id) == xml.domain_uuid(guest_id)


def test_guests_have_uuids_of_their_own() -> None:
    assert xml.domain_uuid(GUEST) == GUEST
    assert len({xml.domain_uuid(f"guest-{n}") for n in range(100)}) == 100


@pytest.mark.parametrize("name", ["", "debian", "innkeepers", "other-innkeeper-1"])
def test_other_machines_are_nobodys(name: str) -> None:
    assert xml.guest_id_of(name) is None

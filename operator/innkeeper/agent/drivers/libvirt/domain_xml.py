"""A machine as libvirt's domain XML (https://libvirt.org/formatdomain.html). Pure.

Names and paths are made of the Guest ID only. Every disk format is declared, backing files included: QEMU never probes
one. A machine that powers off or crashes stays off; to start it again is the agent's decision.
"""

import uuid
from pathlib import Path
from xml.etree import ElementTree as ET

from innkeeper.agent.drivers.driver import DomainInterface, DomainSpec, HypervisorKind

NAMESPACE = "https://innkeeper.dev/xmlns/domain/v1"
NAME_PREFIX = "innkeeper-"
DISK = "vda"  # the guest's own disk
_UUIDS = uuid.UUID(
    "6c0e1b9e-3d0f-5a7e-9c55-0f6f1ab0c9d1"
)  # of this project; only makes UUIDs differ from others'
_SHARES_PER_CPU = 100
_SHARES = (2, 10_000)  # what both versions of cgroups take
_KIB = 1024


def domain_name(guest_id: str) -> str:
    """Return the domain's name."""
    return f"{NAME_PREFIX}{guest_id}"


def domain_uuid(guest_id: str) -> str:
    """Return the domain's UUID: the Guest ID where it is one."""
    try:
        return str(uuid.UUID(guest_id))
    except ValueError:
        return str(uuid.uuid5(_UUIDS, guest_id))


def guest_id_of(name: str) -> str | None:
    """Return the Guest ID of a domain of ours, by its name; None for any other domain."""
    return name.removeprefix(NAME_PREFIX) if name.startswith(NAME_PREFIX) else None


def domain_xml(spec: DomainSpec, *, hypervisor: HypervisorKind) -> str:
    """Return the XML of a machine."""
    kvm = hypervisor is HypervisorKind.KVM
    cpus = max(1, -(-spec.cpu_millis // 1000))
    root = ET.Element("domain", type="kvm" if kvm else "qemu")
    _text(root, "name", domain_name(spec.guest_id))
    _text(root, "uuid", domain_uuid(spec.guest_id))
    metadata = ET.SubElement(root, "metadata")
    _text(metadata, f"{{{NAMESPACE}}}guest-id", spec.guest_id)
    _text(root, "memory", str(-(-spec.memory_bytes // _KIB)), unit="KiB")
    _text(root, "vcpu", str(cpus), placement="static")
    tune = ET.SubElement(root, "cputune")
    _text(tune, "shares", str(_shares(spec.cpu_millis)))
    system = ET.SubElement(root, "os")
    _text(system, "type", "hvm", arch="x86_64", machine="q35")
    ET.SubElement(system, "boot", dev="hd")
    features = ET.SubElement(root, "features")
    ET.SubElement(features, "acpi")
    ET.SubElement(features, "apic")
    if kvm:
        ET.SubElement(root, "cpu", mode="host-passthrough", check="none")
    ET.SubElement(root, "clock", offset="utc")
    for event, action in (("poweroff", "destroy"), ("reboot", "restart"), ("crash", "destroy")):
        _text(root, f"on_{event}", action)
    _devices(ET.SubElement(root, "devices"), spec)
    ET.register_namespace("innkeeper", NAMESPACE)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode")


def _shares(cpu_millis: int) -> int:
    """Return the guest's weight against other guests when the processors are busy."""
    least, most = _SHARES
    return min(most, max(least, cpu_millis * _SHARES_PER_CPU // 1000))


def _devices(devices: ET.Element, spec: DomainSpec) -> None:
    _disk(devices, spec.disk, target=DISK, image_format="qcow2")
    _disk(devices, spec.seed, target="vdb", image_format="raw", read_only=True)
    for interface in spec.interfaces:
        _interface(devices, interface)
    _console(devices, spec.console_log)
    _guest_agent(devices)
    rng = ET.SubElement(devices, "rng", model="virtio")
    _text(rng, "backend", "/dev/urandom", model="random")
    ET.SubElement(devices, "memballoon", model="none")
    # A guest whose kernel panics says so here; libvirt then ends it as crashed.
    ET.SubElement(devices, "panic", model="isa")
    ET.SubElement(devices, "controller", type="usb", model="none")


def _disk(
    devices: ET.Element, path: Path, *, target: str, image_format: str, read_only: bool = False
) -> None:
    disk = ET.SubElement(devices, "disk", type="file", device="disk")
    driver = ET.SubElement(
        disk, "driver", name="qemu", type=image_format, cache="none" if not read_only else "default"
    )
    if not read_only:
        # What fails pauses the machine, and is tried again when it goes on: the guest never sees an error.
        driver.set("error_policy", "stop")
        driver.set("rerror_policy", "stop")
    ET.SubElement(disk, "source", file=str(path))
    ET.SubElement(disk, "target", dev=target, bus="virtio")
    if read_only:
        ET.SubElement(disk, "readonly")


def _interface(devices: ET.Element, interface: DomainInterface) -> None:
    card = ET.SubElement(devices, "interface", type="bridge")
    ET.SubElement(card, "mac", address=interface.mac)
    ET.SubElement(card, "source", bridge=interface.bridge)
    ET.SubElement(card, "target", dev=interface.device)
    ET.SubElement(card, "model", type="virtio")
    # No network boot: a guest boots from its disk, and the option ROM is not on every host.
    ET.SubElement(card, "rom", enabled="no")


def _console(devices: ET.Element, log: Path) -> None:
    serial = ET.SubElement(devices, "serial", type="pty")
    ET.SubElement(serial, "log", file=str(log), append="on")
    ET.SubElement(serial, "target", type="isa-serial", port="0")
    console = ET.SubElement(devices, "console", type="pty")
    ET.SubElement(console, "target", type="serial", port="0")


def _guest_agent(devices: ET.Element) -> None:
    """A channel to the QEMU guest agent, for guests that run it; libvirt chooses where its socket lies."""
    channel = ET.SubElement(devices, "channel", type="unix")
    ET.SubElement(channel, "target", type="virtio", name="org.qemu.guest_agent.0")


def _text(parent: ET.Element, tag: str, content: str, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, tag, attributes)
    element.text = content
    return element

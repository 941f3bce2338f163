"""The plan of one lab: which hosts, which names, which addresses, where files lie.

All of it follows from the lab's name, its subnet and its hosts, so two calls agree without asking the system.
"""

import hashlib
import ipaddress
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from kit import paths, records, steps

DEFAULT_SUBNET = "10.77.0.0/24"
DEFAULT_HOSTS = ("host-a", "host-b")
_FIRST_HOST = 11
_MOST_HOSTS = 60
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


def default_name() -> str:
    """Return the name of the lab that is meant where none is given."""
    return os.environ.get("INNKEEPER_LAB", "demo")


def default_subnet() -> str:
    """Return the subnet of a lab that is started without one."""
    return os.environ.get("INNKEEPER_LAB_SUBNET", DEFAULT_SUBNET)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a person asked for."""

    name: str
    subnet: str = DEFAULT_SUBNET
    hosts: tuple[str, ...] = DEFAULT_HOSTS
    kubeconfig: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot work, before anything is made."""
        try:
            network = ipaddress.IPv4Network(self.subnet)
        except ValueError as error:
            raise steps.StepError(f"--subnet {self.subnet}: {error}", exit_code=2) from error
        if network.prefixlen != 24:  # noqa: PLR2004 - the one size that the addresses below are cut for
            raise steps.StepError("--subnet must be a /24, such as 10.77.0.0/24", exit_code=2)
        if not 1 <= len(self.hosts) <= _MOST_HOSTS or len(set(self.hosts)) != len(self.hosts):
            raise steps.StepError(f"--hosts needs 1 to {_MOST_HOSTS} different names", exit_code=2)
        if wrong := [each for each in self.hosts if not _HOST.fullmatch(each)]:
            raise steps.StepError(
                f"--hosts {','.join(wrong)}: a host's name has 1 to 40 of a-z, 0-9 and -, no - at an end",
                exit_code=2,
            )

    @property
    def directory(self) -> Path:
        """Everything that the lab writes."""
        return paths.run_directory(self.name) / "lab"

    @property
    def admin_kubeconfig(self) -> Path:
        """The kubeconfig of the control plane: the user's, or the lab's own."""
        return Path(self.kubeconfig) if self.kubeconfig else paths.run_directory(self.name) / "kubeconfig"

    @property
    def tag(self) -> str:
        """A short name for interfaces, which may have 15 characters."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:6]

    @property
    def switch(self) -> str:
        """The network namespace that joins the hosts."""
        return f"innkeeper-{self.name}-switch"

    @property
    def gateway(self) -> str:
        """This machine's own address in the lab's network."""
        return self._address(1)

    def namespace(self, host: str) -> str:
        """The network namespace of a host."""
        return f"innkeeper-{self.name}-{host}"

    def host_address(self, host: str) -> str:
        """The host's own address."""
        return self._address(_FIRST_HOST + self.hosts.index(host))

    def host_directory(self, host: str) -> Path:
        """What the host has instead of this machine's /run, /var/lib/libvirt and so on."""
        return self.directory / "hosts" / host

    def _address(self, last: int) -> str:
        return str(ipaddress.IPv4Network(self.subnet)[last])

    def save(self) -> None:
        """Write down what was asked for."""
        records.write(self.directory / "plan.json", asdict(self))


def load(name: str) -> Plan | None:
    """Return the plan of a lab that was started, or None.

    Raises:
        StepError: another version of the scripts wrote it.
    """
    return records.read(
        paths.run_directory(name) / "lab" / "plan.json",
        lambda known: Plan(**{**known, "hosts": tuple(known["hosts"])}),
    )

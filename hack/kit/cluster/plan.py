"""The plan of one cluster: names, addresses, where files lie. All of it follows from what was asked for."""

import ipaddress
from dataclasses import asdict, dataclass
from pathlib import Path

from kit import paths, records, steps
from kit.lab import plan as lab_plan

DEFAULT_SUBNET = "10.80.0.0/24"
DEFAULT_POD_SUBNET = "10.81.0.0/24"
SERVICE_CIDR = "10.96.0.0/16"
NODE = "node-a"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What a person asked for."""

    name: str
    subnet: str = DEFAULT_SUBNET
    pods: str = DEFAULT_POD_SUBNET

    def __post_init__(self) -> None:
        """Refuse what cannot work, before anything is made."""
        try:
            pods = ipaddress.IPv4Network(self.pods)
        except ValueError as error:
            raise steps.StepError(f"--pod-subnet {self.pods}: {error}", exit_code=2) from error
        others = (ipaddress.IPv4Network(self.lab.subnet), ipaddress.IPv4Network(SERVICE_CIDR))
        if any(pods.overlaps(each) for each in others):
            raise steps.StepError(f"--pod-subnet {self.pods} overlaps another network", exit_code=2)

    @property
    def lab(self) -> lab_plan.Plan:
        """The lab that the node is the one host of."""
        return lab_plan.Plan(name=self.name, subnet=self.subnet, hosts=(NODE,))

    @property
    def directory(self) -> Path:
        """Everything that the cluster writes, beside its control plane and its lab."""
        return paths.run_directory(self.name) / "cluster"

    @property
    def node_directory(self) -> Path:
        """What the node has instead of this machine's /var/lib/kubelet and so on."""
        return self.directory / "node"

    @property
    def volumes(self) -> Path:
        """The directories that claims get, at the same path on the node."""
        return self.directory / "volumes"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's way in."""
        return self.lab.admin_kubeconfig

    @property
    def address(self) -> str:
        """This machine's own address in the node's network: the API server listens there."""
        return self.lab.gateway

    @property
    def node_address(self) -> str:
        """The node's address."""
        return self.lab.host_address(NODE)

    @property
    def cgroup(self) -> str:
        """The control group of all pods, below the root."""
        return f"innkeeper-{self.name}"

    def save(self) -> None:
        """Write down what was asked for."""
        records.write(self.directory / "plan.json", asdict(self))


def load(name: str) -> Cluster | None:
    """Return the plan of a cluster that was started, or None.

    Raises:
        StepError: another version of the scripts wrote it.
    """
    return records.read(paths.run_directory(name) / "cluster" / "plan.json", lambda known: Cluster(**known))

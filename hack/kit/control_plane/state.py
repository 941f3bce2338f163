"""What is known of one control plane: what was asked for, and what was chosen for it.

Kept as `state.json` in the instance's directory, which tests and other scripts read. Whether the processes
live is never written down: it is looked up each time.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit import paths, records
from kit.certificates import Authority
from kit.daemons import Daemon

# Enough for Innkeeper: contents of namespaces, owner references, service accounts, and the roles that
# aggregate others.
FEW_CONTROLLERS = (
    "namespace-controller,garbage-collector-controller,serviceaccount-controller,"
    "root-ca-certificate-publisher-controller,clusterrole-aggregation-controller"
)


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a person asked for; two calls of `up` must agree in it."""

    listen: str = "127.0.0.1"
    advertise: str | None = None
    port: int | None = None
    sans: tuple[str, ...] = ()
    audit_log: str | None = None
    controllers: str = FEW_CONTROLLERS
    service_cidr: str = "10.96.0.0/16"
    api_server_arguments: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ControlPlane:
    """One instance: its name, what was asked for, its ports and programs."""

    name: str
    wishes: Wishes
    port: int
    etcd_port: int
    etcd_peer_port: int
    programs: dict[str, str]

    @property
    def directory(self) -> Path:
        """Everything of this instance, but the kubeconfig."""
        return directory_of(self.name)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's way in."""
        return paths.run_directory(self.name) / "kubeconfig"

    @property
    def authority(self) -> Authority:
        """Who signs its certificates."""
        return Authority(self.directory / "pki")

    @property
    def front_proxy(self) -> Authority:
        """Who signs for the API server where it passes requests on, and for nobody else: its word names any user."""
        return Authority(self.directory / "pki" / "front-proxy", name="innkeeper-trial-front-proxy-ca")

    @property
    def address(self) -> str:
        """Where clients reach the API server."""
        if self.wishes.advertise:
            return self.wishes.advertise
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.wishes.listen, self.wishes.listen)  # noqa: S104

    @property
    def url(self) -> str:
        """The API server's URL."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"https://{host}:{self.port}"

    @property
    def etcd_url(self) -> str:
        """Where etcd serves the API server, and nobody else."""
        return f"https://127.0.0.1:{self.etcd_port}"

    def daemon(self, program: str) -> Daemon:
        """Return the background process that runs the program."""
        return Daemon(program, self.directory)

    def daemons(self) -> list[Daemon]:
        """Return all background processes, in the order of their start."""
        return [self.daemon(program) for program in self.programs]

    def save(self) -> None:
        """Write `state.json`, all at once."""
        records.write(self.directory / "state.json", self.describe(), mode=0o700)

    def describe(self) -> dict[str, object]:
        """Return what `state.json` holds and `up --json` prints."""
        pair = self.authority.own
        return {
            **dataclasses.asdict(self),
            "directory": str(self.directory),
            "url": self.url,
            "kubeconfig": str(self.kubeconfig),
            "ca_certificate": str(pair.certificate),
            "ca_key": str(pair.key),
            "service_account_key": str(self.authority.pair("service-accounts").key),
            "logs": {each.name: str(each.log_file) for each in self.daemons()},
            "pid_files": {each.name: str(each.pid_file) for each in self.daemons()},
        }


def directory_of(name: str) -> Path:
    """Return the directory of the instance called `name`, there or not."""
    return paths.run_directory(name) / "control-plane"


def load(name: str) -> ControlPlane | None:
    """Return the instance of that name, or None when there is none.

    Raises:
        StepError: another version of the scripts wrote what is known of it.
    """
    return records.read(directory_of(name) / "state.json", _made_from)


def _made_from(known: dict[str, Any]) -> ControlPlane:
    wishes: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in known["wishes"].items()
    }
    fields = {field.name: known[field.name] for field in dataclasses.fields(ControlPlane)}
    return ControlPlane(**{**fields, "wishes": Wishes(**wishes)})

"""Settings of `innkeeper agent`: the command line, else INNKEEPER_AGENT_* variables, else these defaults.

A join file names the host, the API server, the token and the order keys. Without one, the pod on a node or a kubeconfig
does, with files of the order keys. Keys are pinned: what the API server says about them later must be signed by one of
them.
"""

import re
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from innkeeper.agent.backup.places import PlaceError, bucket_and_prefix
from innkeeper.agent.host_api.certificates import TlsFiles
from innkeeper.agent.host_api.listener import ListenAt
from innkeeper.agent.join_file import HOST_NAME, HostName
from innkeeper.agent.streaming.settings import StreamProcess
from innkeeper.domain import names
from innkeeper.kube.credentials import SERVICE_ACCOUNT
from innkeeper.settings import CommonSettings


class DriverName(StrEnum):
    """What runs guests."""

    LIBVIRT = "libvirt"
    SIMULATED = "simulated"


class AgentSettings(CommonSettings):
    """What the agent needs to know."""

    model_config = SettingsConfigDict(env_prefix="INNKEEPER_AGENT_", extra="forbid", frozen=True)

    join_file: Path | None = Field(None, description="The file that `innkeeper agent join` made.")
    host: HostName | None = Field(None, description="The host's name, where there is no join file.")
    order_key_file: list[Path] = Field(
        default_factory=list, description="Public keys of orders (base64), where there is no join file."
    )
    node_name: str | None = Field(
        None, description="The node that the agent's pod runs on: the host has its name, and no join file."
    )
    node_token_file: Path = Field(
        SERVICE_ACCOUNT / "token",
        description="The token of the agent's pod, which is exchanged for the host's.",
    )
    state_dir: Path = Field(Path("/var/lib/innkeeper"), description="Where guests and the database lie.")
    driver: DriverName = Field(DriverName.LIBVIRT, description="What runs guests; `simulated` runs none.")
    libvirt_uri: str = Field("qemu:///system", description="Where libvirt listens.")
    images_ca_file: Path | None = Field(None, description="The authority of the image server (PEM).")
    image_fill_mib_s: float = Field(
        32, ge=0, le=100_000, description="How fast the rest of images may come, in MiB/s; 0 is no limit."
    )
    streams: StreamProcess = Field(
        StreamProcess.OWN,
        description="Who starts and ends `innkeeper stream`: the agent (own), or others (external).",
    )
    tools_user: str = Field(
        "nobody",
        min_length=1,
        max_length=64,
        description="Who QEMU's tools run as, where the agent is root; best a user that owns nothing else.",
    )
    qemu_group: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="The group of QEMU, which may read images on their way; `libvirt-qemu` or `qemu` where there is one.",
    )
    metrics_port: int = Field(9103, ge=0, le=65535, description="The port of /metrics, /healthz and /readyz.")
    api_listen: str = Field("127.0.0.1", description="The address of the host API, which the operator calls.")
    api_port: int = Field(9104, ge=0, le=65535, description="The port of the host API; 0 is any.")
    api_certificate_file: Path | None = Field(
        None,
        description="The host API's certificate (PEM), with the host's name; else the operator is asked for one.",
    )
    api_key_file: Path | None = Field(None, description="The key of that certificate (PEM).")
    api_ca_file: Path | None = Field(
        None,
        description="The authority of the operator's certificate towards hosts (PEM); else no host API is served.",
    )
    api_address: str | None = Field(
        None,
        pattern=r"^([a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:.]+\])(:[1-9][0-9]{0,4})?$",
        max_length=253,
        description="Where the operator reaches the host API (host or host:port; IPv6 in brackets), if not there.",
    )
    stop_grace_s: float = Field(
        60, ge=0, le=3600, description="How long a guest may take to power itself off."
    )
    max_builds: int = Field(4, ge=1, le=64, description="How many guests are built at once.")
    api_grace_s: float = Field(
        30, ge=0, le=3600, description="How long guests that are off wait for the API server after a start."
    )
    backup_directory: Path | None = Field(
        None,
        description="Where copies of the database go: a directory that is there, as a rule a mounted one.",
    )
    backup_url: str | None = Field(
        None,
        description="Where they go instead: s3://BUCKET/PREFIX; AWS_* variables say how it is reached.",
    )
    backup_every_s: float = Field(
        300, ge=1, le=86_400, description="The shortest time between two backups; none without a change."
    )
    backup_keep: int = Field(24, ge=1, le=10_000, description="How many backups of this host are kept.")
    simulated_latency_s: float = Field(0, ge=0, le=600, description="How long each simulated call takes.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self._says_who_it_is()
        if self.backup_directory is not None and self.backup_url is not None:
            raise ValueError("--backup-directory and --backup-url: give one of them")
        files = (self.api_certificate_file, self.api_key_file, self.api_ca_file)
        if (self.api_certificate_file is None) != (self.api_key_file is None) or (
            any(files) and self.api_ca_file is None
        ):
            raise ValueError(
                "--api-certificate-file and --api-key-file go together, and with --api-ca-file; that one alone asks "
                "the operator for a certificate"
            )
        if (
            self.api_ca_file is not None
            and self.api_address is None
            and ip_address(self.api_listen).is_unspecified
        ):
            raise ValueError(
                f"--api-listen {self.api_listen} is no address to be called at: add --api-address"
            )
        return self

    def _says_who_it_is(self) -> None:
        if self.node_name is not None:
            if self.join_file is not None or not self.order_key_file:
                raise ValueError("--node-name goes with --order-key-file, and without --join-file")
            if self.host not in {None, self.node_name}:
                raise ValueError(f"the host of the node {self.node_name} has its name: leave out --host")
            if not re.fullmatch(HOST_NAME, self.node_name) or len(self.node_name) > names.MAX_HOST_NAME:
                raise ValueError(
                    f"the node {self.node_name!r} can be no host: a host's name is one DNS label of at most "
                    f"{names.MAX_HOST_NAME} characters, without dots; join this machine by a join token"
                )
        elif self.join_file is not None and (self.host is not None or self.order_key_file):
            raise ValueError("--join-file names host and keys: leave out --host and --order-key-file")
        elif self.join_file is None and (self.host is None or not self.order_key_file):
            raise ValueError(
                "give --join-file, or --order-key-file with --node-name (in a pod) or --host (with a kubeconfig)"
            )

    @field_validator("backup_url")
    @classmethod
    def _names_a_bucket(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                bucket_and_prefix(value)
            except PlaceError as error:
                raise ValueError(error.message) from error
        return value

    @field_validator("api_listen")
    @classmethod
    def _listens_at_address(cls, value: str) -> str:
        ip_address(value)
        return value

    @property
    def asks_for_certificate(self) -> bool:
        """Whether the operator is asked to sign the host API's certificate."""
        return self.api_ca_file is not None and self.api_certificate_file is None

    @property
    def api(self) -> ListenAt | None:
        """Where the host API listens; None where its callers' authority is not given."""
        certificate, key, authority = self.api_certificate_file, self.api_key_file, self.api_ca_file
        if authority is None:
            return None
        own = self.state_dir / "identity"
        files = TlsFiles(
            certificate=certificate or own / "host-api.crt",
            key=key or own / "host-api.key",
            authority=authority,
        )
        return ListenAt(listen=self.api_listen, port=self.api_port, files=files, reported=self.api_address)

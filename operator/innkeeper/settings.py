"""Settings of `innkeeper operator`: the command line, else INNKEEPER_* variables, else these defaults.

Only values; nothing here reads the API server or starts anything. `CommonSettings` is what every process has.
"""

from ipaddress import ip_address
from pathlib import Path
from typing import Self

from pydantic import AnyHttpUrl, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from innkeeper.domain import names
from innkeeper.domain.reasons import OrphanPolicy
from innkeeper.domain.rebuild.gate import RebuildPolicy
from innkeeper.telemetry.logs import LogFormat, LogLevel


class CommonSettings(BaseSettings):
    """What every process needs to know."""

    model_config = SettingsConfigDict(env_prefix="INNKEEPER_", frozen=True)

    kubeconfig: Path | None = Field(
        None, description="The kubeconfig; without one: KUBECONFIG, the pod's own identity, ~/.kube/config."
    )
    listen: str = Field("127.0.0.1", description="The address of /metrics, /healthz and /readyz.")
    metrics_port: int = Field(9101, ge=0, le=65535, description="The port of /metrics, /healthz and /readyz.")
    log_format: LogFormat = Field(LogFormat.JSON, description="Lines for machines or for people.")
    log_level: LogLevel = Field(LogLevel.INFO, description="What is worth a line.")

    @field_validator("listen")
    @classmethod
    def _is_address(cls, value: str) -> str:
        ip_address(value)
        return value


class OperatorSettings(CommonSettings):
    """What the operator needs to know."""

    images_url: AnyHttpUrl = Field(
        AnyHttpUrl("http://127.0.0.1:8090"),
        description="The image server, as the operator and hosts reach it.",
    )
    images_ca_file: Path | None = Field(
        None, description="The authority of the image server's certificate (PEM)."
    )
    namespace: str = Field(
        names.SYSTEM_NAMESPACE, description="The namespace of the Lease and the order key."
    )
    order_key_file: Path | None = Field(
        None,
        description="The key that signs orders (32 raw bytes, or their base64); else a Secret, made when absent.",
    )
    previous_order_key_file: Path | None = Field(
        None, description="While keys change: the key before the one in order_key_file, which endorses it."
    )
    identity: str | None = Field(None, description="This process's name in the Lease; made up when absent.")
    leader_election: bool = Field(True, description="Work only while the Lease is held.")
    host_silence_s: float = Field(
        40, ge=5, le=3600, description="A host that is not heard for so many seconds counts as silent."
    )
    host_status_delay_s: float = Field(10, ge=0, le=600, description="How long counters of a Host may wait.")
    recount_s: float = Field(
        300, ge=1, le=86400, description="How often what is kept in memory is counted anew and set right."
    )
    image_recheck_s: float = Field(
        300, ge=1, le=86400, description="How often it is looked whether the source of a Ready image changed."
    )
    snapshot_file: Path | None = Field(
        None, description="Where to keep what is known, so that the next start need not list all of it."
    )
    snapshot_every_s: float = Field(
        60, ge=1, le=86400, description="How often that file is written, and the store marked."
    )
    query_listen: str = Field("0.0.0.0", description="The address of the query API.")  # noqa: S104 - the API server connects to it
    query_port: int = Field(9443, ge=0, le=65535, description="The port of the query API.")
    query_certificate_file: Path | None = Field(
        None, description="The query API's certificate (PEM); without one it is not served."
    )
    query_key_file: Path | None = Field(None, description="The key of that certificate (PEM).")
    hosts_ca_file: Path | None = Field(
        None, description="The authority of hosts (PEM); without it no host is asked what it holds."
    )
    hosts_certificate_file: Path | None = Field(
        None, description="The certificate (PEM, common name innkeeper-operator) that hosts are shown."
    )
    hosts_key_file: Path | None = Field(None, description="The key of that certificate (PEM).")
    hosts_ca_key_file: Path | None = Field(
        None,
        description="The key of that authority (PEM): with it the operator signs the certificates of hosts.",
    )
    hosts_file: Path | None = Field(
        None, description="Where hosts are reached of which the API server does not say it (YAML)."
    )
    host_records_s: float = Field(
        300,
        ge=5,
        le=86400,
        description="How often a host is asked what it holds, when nothing else calls for it.",
    )
    orphan_policy: OrphanPolicy = Field(
        OrphanPolicy.KEEP, description="What becomes of guests that hosts hold and that have no Guest object."
    )
    rebuild: RebuildPolicy = Field(
        RebuildPolicy.MANUAL,
        description="What to do in a new API server, while hosts_file or a snapshot of the one before names hosts.",
    )
    guest_workers: int = Field(32, ge=1, le=256, description="How many guests are worked on at once.")
    host_workers: int = Field(4, ge=1, le=64, description="How many hosts are worked on at once.")

    @model_validator(mode="after")
    def _files_go_together(self) -> Self:
        if self.previous_order_key_file is not None and self.order_key_file is None:
            raise ValueError("--previous-order-key-file goes with --order-key-file; a Secret holds both keys")
        if (self.query_certificate_file is None) != (self.query_key_file is None):
            raise ValueError("--query-certificate-file and --query-key-file go together")
        files = (self.hosts_ca_file, self.hosts_certificate_file, self.hosts_key_file)
        if any(files) != all(files):
            raise ValueError("--hosts-ca-file, --hosts-certificate-file and --hosts-key-file go together")
        if self.hosts_ca_key_file is not None and self.hosts_ca_file is None:
            raise ValueError("--hosts-ca-key-file is the key of --hosts-ca-file: give both")
        if self.hosts_file is not None and self.hosts_ca_file is None:
            raise ValueError("--hosts-file goes with --hosts-ca-file: hosts are asked over mutual TLS only")
        return self

    @property
    def images_base_url(self) -> str:
        """The URL that orders name, without a slash at its end."""
        return str(self.images_url).rstrip("/")

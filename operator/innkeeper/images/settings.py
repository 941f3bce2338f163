"""Settings of `innkeeper images`: the command line, else INNKEEPER_IMAGES_* variables, else these defaults."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Self

from pydantic import AnyHttpUrl, Field, model_validator
from pydantic_settings import SettingsConfigDict

from innkeeper.domain import names
from innkeeper.images.blobs import MAX_STREAMS
from innkeeper.images.inspection import DEFAULT_MAX_BYTES
from innkeeper.images.unpacking.store import DEFAULT_MAX_BYTES as DEFAULT_MAX_STORE_BYTES
from innkeeper.settings import CommonSettings

OPERATOR_USER = f"system:serviceaccount:{names.SYSTEM_NAMESPACE}:innkeeper-operator"


class ImagesSettings(CommonSettings):
    """What the image server needs to know."""

    model_config = SettingsConfigDict(env_prefix="INNKEEPER_IMAGES_", extra="forbid", frozen=True)

    metrics_port: int = Field(9102, ge=0, le=65535, description="The port of /metrics, /healthz and /readyz.")
    listen: str = Field(
        "127.0.0.1", description="The address of the image server, and of /metrics, /healthz and /readyz."
    )
    port: int = Field(
        8090, ge=0, le=65535, description="The port of the image server itself, at the address of --listen."
    )
    public_url: AnyHttpUrl | None = Field(None, description="The URL that hosts reach this server by.")
    directory: Path | None = Field(None, description="The root of `directory` sources.")
    manifest_directory: Path | None = Field(
        None,
        description="Where manifests and boot profiles of images are kept, 1 GiB at most; in memory when absent.",
    )
    store_directory: Path | None = Field(
        None, description="Where compressed images are unpacked to; they are refused when absent."
    )
    max_store_bytes: int = Field(
        DEFAULT_MAX_STORE_BYTES,
        gt=0,
        description="How much the store may take; the image that was not read for longest goes first.",
    )
    allow_http_host: list[str] = Field(
        default_factory=list,
        description="Hosts that may be read by plain http, and at addresses of this machine.",
    )
    allow_network: list[IPv4Network | IPv6Network] = Field(
        default_factory=list,
        description="Networks with private addresses that images may be read from by https.",
    )
    url_key_file: Path | None = Field(None, description="The key that signs URLs; shared by all replicas.")
    url_lifetime_s: int = Field(900, ge=10, le=86400, description="How long a URL is valid.")
    operator_user: str = Field(OPERATOR_USER, description="The user that may ask for inspections.")
    max_image_bytes: int = Field(DEFAULT_MAX_BYTES, gt=0, description="The largest image that is read.")
    max_streams: int = Field(
        MAX_STREAMS,
        gt=0,
        description="How many streams may be open at once, and as many of manifests beside them; half of them for one "
        "namespace, a quarter for one image.",
    )
    offer_packed: bool = Field(
        True,
        description="Whether hosts may have the chunks of images packed by zstd: a third of the bytes on the wire, for "
        "processor time of this server. Not worth it where the wire is faster than that packs.",
    )
    tls_cert_file: Path | None = Field(None, description="Serve https with this certificate chain (PEM).")
    tls_key_file: Path | None = Field(None, description="The certificate's key (PEM).")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("--tls-cert-file and --tls-key-file go together")
        if self.directory is not None and not self.directory.is_dir():
            raise ValueError(f"--directory {self.directory} is no directory")
        if self.manifest_directory is not None and not self.manifest_directory.is_dir():
            raise ValueError(f"--manifest-directory {self.manifest_directory} is no directory")
        if self.store_directory is not None and not self.store_directory.is_dir():
            raise ValueError(f"--store-directory {self.store_directory} is no directory")
        return self

    @property
    def base_url(self) -> str:
        """The URL that signed URLs begin with."""
        if self.public_url is not None:
            return str(self.public_url).rstrip("/")
        host = f"[{self.listen}]" if ":" in self.listen else self.listen
        scheme = "https" if self.tls_cert_file else "http"
        return f"{scheme}://{host}:{self.port}"

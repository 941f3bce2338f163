"""Settings of `innkeeper stream`: the agent gives them all on the command line."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from innkeeper.telemetry.logs import LogFormat, LogLevel


class StreamSettings(BaseSettings):
    """What the streaming process needs to know."""

    model_config = SettingsConfigDict(env_prefix="INNKEEPER_STREAM_", extra="forbid", frozen=True)

    directory: Path = Field(Path("/var/lib/innkeeper/images"), description="Where images lie.")
    join_file: Path | None = Field(None, description="The agent's join file.")
    kubeconfig: Path | None = Field(None, description="The agent's kubeconfig, where it has no join file.")
    images_ca_file: Path | None = Field(None, description="The authority of the image server (PEM).")
    fill_mib_s: float = Field(
        32, ge=0, le=100_000, description="How fast the rest of images may come, in MiB/s; 0 is no limit."
    )
    qemu_group: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="The group of QEMU, which may read images on their way; `libvirt-qemu` or `qemu` where there is one.",
    )
    log_format: LogFormat = Field(LogFormat.JSON, description="Lines for machines or for people.")
    log_level: LogLevel = Field(LogLevel.INFO, description="What is worth a line.")

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.join_file is not None and self.kubeconfig is not None:
            raise ValueError("give one of --join-file and --kubeconfig, not both")
        return self

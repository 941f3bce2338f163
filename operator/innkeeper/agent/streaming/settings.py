"""Settings of `innkeeper stream`: who starts it gives them on the command line. That is the agent, or a pod's kubelet."""

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from innkeeper.telemetry.logs import LogFormat, LogLevel


class StreamProcess(StrEnum):
    """Who starts and ends the streaming process of a host."""

    OWN = "own"
    """The agent: it starts one when a guest needs it, and replaces one of another version."""
    EXTERNAL = "external"
    """Somebody else, so that it outlives the pod of the agent. The agent only asks it."""


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
    idle_s: float = Field(
        10, ge=0, le=86_400, description="Without an image to serve it ends after so long; 0 is never."
    )
    log_format: LogFormat = Field(LogFormat.JSON, description="Lines for machines or for people.")
    log_level: LogLevel = Field(LogLevel.INFO, description="What is worth a line.")

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.join_file is not None and self.kubeconfig is not None:
            raise ValueError("give one of --join-file and --kubeconfig, not both")
        return self

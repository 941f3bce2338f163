"""Options that every process has, and how options become settings.

An option that is not given stays None here, so that the environment and then the default decide.
"""

from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic_settings import BaseSettings

from innkeeper.telemetry.logs import LogFormat, LogLevel

S = TypeVar("S", bound=BaseSettings)

Kubeconfig = Annotated[
    Path | None,
    typer.Option(
        help="The kubeconfig to use.",
        show_default="KUBECONFIG, else the pod's own identity, else ~/.kube/config",
    ),
]
Listen = Annotated[str | None, typer.Option(help="The address to listen on.", show_default="127.0.0.1")]
LogFormatOption = Annotated[
    LogFormat | None, typer.Option(help="Lines for machines or for people.", show_default="json")
]
LogLevelOption = Annotated[LogLevel | None, typer.Option(help="What is worth a line.", show_default="info")]


def metrics_port_option(port: int) -> Any:
    """Return the option of the port of /metrics, whose default each process has for itself."""
    return typer.Option(help="The port of /metrics, /healthz and /readyz.", show_default=str(port))


def settings_from(form: type[S], options: dict[str, Any]) -> S:
    """Return the settings that the given options make; those that were not given come from elsewhere."""
    return form(**{name: value for name, value in options.items() if value is not None})

"""`innkeeper images`: options of the image server's process."""

from pathlib import Path
from typing import Annotated

import typer

from innkeeper.cli.options import (
    Kubeconfig,
    Listen,
    LogFormatOption,
    LogLevelOption,
    metrics_port_option,
    settings_from,
)


async def run(  # noqa: PLR0913 - each option of the command line is a parameter
    *,
    kubeconfig: Kubeconfig = None,
    listen: Listen = None,
    port: Annotated[
        int | None, typer.Option(help="The port of the image server.", show_default="8090")
    ] = None,
    metrics_port: Annotated[int | None, metrics_port_option(9102)] = None,
    public_url: Annotated[
        str | None,
        typer.Option(help="The URL that hosts reach this server by.", show_default="from --listen"),
    ] = None,
    directory: Annotated[
        Path | None, typer.Option(help="The root of `directory` sources.", show_default="none are served")
    ] = None,
    manifest_directory: Annotated[
        Path | None,
        typer.Option(
            help="Where manifests and boot profiles of images are kept, 1 GiB at most.",
            show_default="in memory",
        ),
    ] = None,
    store_directory: Annotated[
        Path | None,
        typer.Option(
            help="Where images that are compressed at their source are unpacked to.",
            show_default="they are refused",
        ),
    ] = None,
    max_store_bytes: Annotated[
        int | None,
        typer.Option(
            help="How much the store may take; what was not read for longest goes first.",
            show_default="256 GiB",
        ),
    ] = None,
    allow_http_host: Annotated[
        list[str] | None,
        typer.Option(
            help="A host that images may come from by plain http, even one on this machine; may be given again."
        ),
    ] = None,
    allow_network: Annotated[
        list[str] | None,
        typer.Option(
            help="A network with private addresses that images may come from, as 10.2.0.0/16; may be given again."
        ),
    ] = None,
    url_key_file: Annotated[
        Path | None,
        typer.Option(
            help="The key that signs URLs, at least 32 random bytes; replicas share it.",
            show_default="made at start",
        ),
    ] = None,
    url_lifetime_s: Annotated[
        int | None, typer.Option(help="How many seconds a URL is valid.", show_default="900")
    ] = None,
    operator_user: Annotated[
        str | None,
        typer.Option(help="The user that may ask for inspections.", show_default="the operator's account"),
    ] = None,
    max_image_bytes: Annotated[
        int | None, typer.Option(help="The largest image that is read.", show_default="64 GiB")
    ] = None,
    max_streams: Annotated[
        int | None,
        typer.Option(
            help="How many streams may be open at once, and as many of manifests beside them; half of them for one "
            "namespace, a quarter for one image.",
            show_default="256",
        ),
    ] = None,
    tls_cert_file: Annotated[
        Path | None, typer.Option(help="Serve https with this certificate chain (PEM).")
    ] = None,
    tls_key_file: Annotated[Path | None, typer.Option(help="The key of that certificate (PEM).")] = None,
    log_format: LogFormatOption = None,
    log_level: LogLevelOption = None,
) -> None:
    """Run the image server: it checks images and serves their bytes to hosts.

    Several may run at once if they share a URL key. Each option may also come from the environment, as
    INNKEEPER_IMAGES_DIRECTORY for --directory.
    """
    options = {name: value for name, value in locals().items() if value != []}
    from innkeeper.images.process import serve
    from innkeeper.images.settings import ImagesSettings

    await serve(settings_from(ImagesSettings, options))

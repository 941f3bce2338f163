"""create: a Guest from options, made or only shown; with --wait followed to a layer."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from innkeeper.cli.guest import manifest
from innkeeper.cli.guest.asking import Asking
from innkeeper.cli.guest.following import TIMEOUT, Timeout
from innkeeper.cli.guest.layers import Layer
from innkeeper.cli.guest.output import Namespace, Output, OutputOption, say, show_guests
from innkeeper.cli.guest.placement import PlacementOptions
from innkeeper.cli.guest.targets import Target, urn_of
from innkeeper.cli.guest.waiting import WaitForRoom, Waiting
from innkeeper.domain.names import ID_ANNOTATION, MAX_USER_DATA_BYTES
from innkeeper.domain.reasons import Power, RestartPolicy, Storage

MAX_KEY_FILE_BYTES = 64 * 1024


class DryRun(StrEnum):
    """How much is done."""

    NONE = "none"  # all of it
    CLIENT = "client"  # the manifest is made here, and nobody is asked
    SERVER = "server"  # the API server checks it, and keeps nothing


_DONE = {
    DryRun.NONE: "created",
    DryRun.CLIENT: "created (dry run)",
    DryRun.SERVER: "created (server dry run)",
}


def _option(*names: str, **form: Any) -> Any:
    return typer.Option(*names, **form)


def create(  # noqa: PLR0913 - each option of the command line is a parameter
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The name of the new guest.")],
    *,
    image: Annotated[str, _option("--image", help="The Image: NAME, or NAMESPACE/NAME of a shared one.")],
    flavor: Annotated[str | None, _option("--flavor", help="The Flavor; or --cpu, --memory, --disk.")] = None,
    cpu: Annotated[str | None, _option("--cpu", help="CPUs, such as 2 or 500m.")] = None,
    memory: Annotated[str | None, _option("--memory", help="Memory, such as 2Gi.")] = None,
    disk: Annotated[str | None, _option("--disk", help="Disk, such as 20Gi.")] = None,
    pool: Annotated[
        list[str] | None,
        _option(
            "--pool", metavar="POOL", help="An IPPool: an interface with an address of it; again for more."
        ),
    ] = None,
    interface: Annotated[
        list[str] | None,
        _option(
            "--interface",
            metavar="KEY=VALUE,...",
            help="name=eth0,mac=MAC,pool=POOL,address=IP; a second pool for a second address.",
        ),
    ] = None,
    ssh_key: Annotated[
        list[str] | None, _option("--ssh-key", metavar="KEY", help="A public key that may log in.")
    ] = None,
    ssh_key_file: Annotated[
        list[Path] | None,
        _option(
            "--ssh-key-file", metavar="FILE", help="A file of public keys, such as ~/.ssh/id_ed25519.pub."
        ),
    ] = None,
    user_data: Annotated[
        typer.FileText | None,
        _option("--user-data", metavar="FILE", help="A file of cloud-init user data; - for standard input."),
    ] = None,
    user_data_secret: Annotated[
        str | None, _option("--user-data-secret", help="The Secret that holds it under the key userData.")
    ] = None,
    label: Annotated[
        list[str] | None,
        _option("--label", "--labels", "-l", metavar="KEY=VALUE", help="KEY=VALUE, or several with commas."),
    ] = None,
    annotation: Annotated[
        list[str] | None,
        _option("--annotation", metavar="KEY=VALUE", help="KEY=VALUE; the value may have commas."),
    ] = None,
    power: Annotated[
        Power | None, _option("--power", help="Running or Stopped.", show_default="Running")
    ] = None,
    restart_policy: Annotated[
        RestartPolicy | None,
        _option("--restart-policy", help="Always, OnFailure or Never.", show_default="Always"),
    ] = None,
    storage: Annotated[
        Storage | None, _option("--storage", help="Stream or Copy.", show_default="Stream")
    ] = None,
    priority: Annotated[
        int | None,
        _option("--priority", help="Who is placed first while guests wait: the highest.", show_default="0"),
    ] = None,
    hostname: Annotated[
        str | None, _option("--hostname", help="Its own hostname.", show_default="its name")
    ] = None,
    cluster: Annotated[str | None, _option("--cluster", help="Only on hosts of this Cluster.")] = None,
    cluster_selector: Annotated[
        list[str] | None,
        _option(
            "--cluster-selector",
            metavar="SELECTOR",
            help="Only on hosts of Clusters with these labels: a selector.",
        ),
    ] = None,
    host_selector: Annotated[
        list[str] | None,
        _option(
            "--host-selector",
            metavar="SELECTOR",
            help="Only on hosts with these labels: a selector, such as 'disk=ssd,rack notin (1,2)'.",
        ),
    ] = None,
    toleration: Annotated[
        list[str] | None,
        _option("--toleration", metavar="TOLERATION", help="A taint it puts up with: KEY[=VALUE][:EFFECT]."),
    ] = None,
    affinity: Annotated[
        list[str] | None,
        _option(
            "--affinity",
            metavar="TERM",
            help="In one place with guests of these labels, such as app=cache: on their host, or with app=cache@KEY "
            "where hosts have the same label KEY. With :WEIGHT behind it (1 to 100), only rather there.",
        ),
    ] = None,
    anti_affinity: Annotated[
        list[str] | None,
        _option("--anti-affinity", metavar="TERM", help="Apart from guests, said as for --affinity."),
    ] = None,
    spread_over: Annotated[
        list[str] | None,
        _option(
            "--spread-over",
            metavar="KEY",
            help="Guests with its labels lie evenly over the values of a label of hosts: KEY, or KEY=MAX_SKEW; "
            "with :ScheduleAnyway behind it, only rather so.",
        ),
    ] = None,
    ready_when: Annotated[
        str | None, _option("--ready-when", help=f"Ready once it answers: {manifest.PROBES}.")
    ] = None,
    namespace: Namespace = None,
    dry_run: Annotated[DryRun, _option("--dry-run", help="none, client or server.")] = DryRun.NONE,
    wait: Annotated[
        Layer | None, _option("--wait", help="Wait for image, host, address, running or ready.")
    ] = None,
    timeout: Timeout = TIMEOUT,  # type: ignore[assignment] # typer parses the default as it does an option
    wait_for_room: WaitForRoom = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Create a guest, print its URN, and wait for it where that is asked for."""
    asking: Asking = context.obj
    if wait is not None and dry_run is not DryRun.NONE:
        raise typer.BadParameter("nothing is made by a dry run: leave out --wait")
    if wait is Layer.RUNNING and power is Power.STOPPED:
        raise typer.BadParameter("a guest with --power=Stopped does not run: wait for ready")
    try:
        options = manifest.GuestOptions(
            name=name,
            namespace=namespace or asking.namespace(),
            image=image,
            flavor=flavor,
            cpu=cpu,
            memory=memory,
            disk=disk,
            pools=pool or [],
            interfaces=interface or [],
            ssh_keys=[*(ssh_key or []), *_keys_of(ssh_key_file or [])],
            user_data=_text_of(user_data),
            user_data_secret=user_data_secret,
            labels=manifest.labels(label or []),
            annotations=manifest.annotations(annotation or []),
            power=power,
            restart_policy=restart_policy,
            storage=storage,
            priority=priority,
            hostname=hostname,
            placement=PlacementOptions(
                cluster=cluster,
                cluster_selectors=cluster_selector or [],
                host_selectors=host_selector or [],
                tolerations=toleration or [],
                affinity=affinity or [],
                anti_affinity=anti_affinity or [],
                spread_over=spread_over or [],
            ),
            ready_when=ready_when,
        )
        wanted = manifest.guest(options)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    target = Target(options.namespace, name)
    made = _made(asking, target, wanted, dry_run)
    _show_made(made, dry_run, output, is_final=wait is None)
    if wait is not None:
        waiting = Waiting(asking, wait, waits_for_room=wait_for_room)
        found = waiting.until(target, within_s=timeout, uid=made["metadata"]["uid"])
        show_guests([found], output, done=f"reached {wait}")


def _show_made(made: dict[str, Any], dry_run: DryRun, output: Output, *, is_final: bool) -> None:
    """Print what was made. People read it at once; where it is waited for, machines read the guest at the end alone."""
    if is_final or output is Output.TABLE:
        show_guests([made], output, done=_DONE[dry_run])
    if dry_run is DryRun.NONE and output in (Output.TABLE, Output.WIDE):
        say(urn_of(_id_of(made)))


def _made(asking: Asking, target: Target, wanted: dict[str, Any], dry_run: DryRun) -> dict[str, Any]:
    if dry_run is DryRun.CLIENT:
        return wanted
    query = {"fieldManager": "kubectl-guest", "fieldValidation": "Strict"}
    query |= {"dryRun": "All"} if dry_run is DryRun.SERVER else {}
    return asking.create(f"{target.base}/guests?{urlencode(query)}", wanted)


def _keys_of(files: list[Path]) -> list[str]:
    found: list[str] = []
    for file in files:
        try:
            with file.expanduser().open() as opened:
                text = opened.read(MAX_KEY_FILE_BYTES + 1)
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} cannot be read: {error}") from error
        keys = manifest.ssh_key_lines(text)
        if len(text) > MAX_KEY_FILE_BYTES or not keys:
            raise ValueError(f"{file} holds no public key, or is no file of keys")
        if any("PRIVATE KEY" in key for key in keys):
            raise ValueError(f"{file} is a private key: give the .pub file beside it")
        found += keys
    return found


def _text_of(file: Any) -> str | None:
    if file is None:
        return None
    text: str = file.read(MAX_USER_DATA_BYTES + 1)
    if len(text.encode()) > MAX_USER_DATA_BYTES:
        raise ValueError(f"user data may be {MAX_USER_DATA_BYTES} bytes long")
    return text


def _id_of(guest: dict[str, Any]) -> str:
    meta = guest["metadata"]
    return str(meta.get("annotations", {}).get(ID_ANNOTATION) or meta["uid"])

"""create: a Guest from options, made or only shown; with --wait followed to a layer."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from innkeeper.cli.guest import create_options as given
from innkeeper.cli.guest import manifest
from innkeeper.cli.guest.asking import Asking, AskingError
from innkeeper.cli.guest.following import TIMEOUT, Deadline, Timeout
from innkeeper.cli.guest.layers import Layer
from innkeeper.cli.guest.output import Namespace, Output, OutputOption, say, show_guests
from innkeeper.cli.guest.placement import PlacementOptions
from innkeeper.cli.guest.targets import Target, urn_of
from innkeeper.cli.guest.waiting import WaitForRoom, Waiting
from innkeeper.domain.names import ID_ANNOTATION, MAX_USER_DATA_BYTES
from innkeeper.domain.reasons import Power

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


def create(  # noqa: PLR0913 - each option of the command line is a parameter
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The name of the new guest.")],
    *,
    image: given.Image,
    flavor: given.Flavor = None,
    cpu: given.Cpu = None,
    memory: given.Memory = None,
    disk: given.Disk = None,
    pool: given.Pool = None,
    interface: given.Interface = None,
    ssh_key: given.SshKey = None,
    ssh_key_file: given.SshKeyFile = None,
    user_data: given.UserData = None,
    user_data_secret: given.UserDataSecret = None,
    label: given.Labels = None,
    annotation: given.Annotations = None,
    power: given.PowerOption = None,
    restart_policy: given.RestartPolicyOption = None,
    storage: given.StorageOption = None,
    priority: given.Priority = None,
    hostname: given.Hostname = None,
    cluster: given.Cluster = None,
    cluster_selector: given.ClusterSelector = None,
    host_selector: given.HostSelector = None,
    toleration: given.Toleration = None,
    affinity: given.Affinity = None,
    anti_affinity: given.AntiAffinity = None,
    spread_over: given.SpreadOver = None,
    ready_when: given.ReadyWhen = None,
    namespace: Namespace = None,
    dry_run: Annotated[DryRun, typer.Option("--dry-run", help="none, client or server.")] = DryRun.NONE,
    wait: given.WaitFor = None,
    timeout: Timeout = TIMEOUT,  # type: ignore[assignment] # typer parses the default as it does an option
    wait_for_room: WaitForRoom = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Create a guest, print its URN, and wait for it where that is asked for."""
    asking: Asking = context.obj
    _refuse_contradictions(wait, dry_run, power)
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
        try:
            found = waiting.until(target, deadline=Deadline.after(timeout), uid=made["metadata"]["uid"])
        except (AskingError, KeyboardInterrupt):
            # It was made all the same: a script has to know which guest that is.
            if output in (Output.JSON, Output.YAML):
                show_guests([made], output)
            raise
        if output is not Output.NAME:
            show_guests([found], output, done=f"reached {wait}")


def _refuse_contradictions(wait: Layer | None, dry_run: DryRun, power: Power | None) -> None:
    if wait is not None and dry_run is not DryRun.NONE:
        raise typer.BadParameter("nothing is made by a dry run: leave out --wait")
    if wait is Layer.RUNNING and power is Power.STOPPED:
        raise typer.BadParameter("a guest with --power=Stopped does not run: wait for ready")


def _show_made(made: dict[str, Any], dry_run: DryRun, output: Output, *, is_final: bool) -> None:
    """Print what was made: at once for people and as a name; machines that wait read one document, at the end."""
    if is_final or output in (Output.TABLE, Output.NAME):
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

"""The options of `create`: what each is called, takes and means. What they make is up to `manifest` and `placement`."""

from pathlib import Path
from typing import Annotated

import typer

from innkeeper.cli.guest import manifest
from innkeeper.cli.guest.layers import Layer
from innkeeper.domain.reasons import Power, RestartPolicy, Storage

Image = Annotated[str, typer.Option("--image", help="The Image: NAME, or NAMESPACE/NAME of a shared one.")]
Flavor = Annotated[str | None, typer.Option("--flavor", help="The Flavor; or --cpu, --memory, --disk.")]
Cpu = Annotated[str | None, typer.Option("--cpu", help="CPUs, such as 2 or 500m.")]
Memory = Annotated[str | None, typer.Option("--memory", help="Memory, such as 2Gi.")]
Disk = Annotated[str | None, typer.Option("--disk", help="Disk, such as 20Gi.")]
Pool = Annotated[
    list[str] | None,
    typer.Option(
        "--pool", metavar="POOL", help="An IPPool: an interface with an address of it; again for more."
    ),
]
Interface = Annotated[
    list[str] | None,
    typer.Option(
        "--interface",
        metavar="KEY=VALUE,...",
        help="name=eth0,mac=MAC,pool=POOL,address=IP; a second pool for a second address.",
    ),
]
SshKey = Annotated[
    list[str] | None, typer.Option("--ssh-key", metavar="KEY", help="A public key that may log in.")
]
SshKeyFile = Annotated[
    list[Path] | None,
    typer.Option(
        "--ssh-key-file", metavar="FILE", help="A file of public keys, such as ~/.ssh/id_ed25519.pub."
    ),
]
UserData = Annotated[
    typer.FileText | None,
    typer.Option("--user-data", metavar="FILE", help="A file of cloud-init user data; - for standard input."),
]
UserDataSecret = Annotated[
    str | None, typer.Option("--user-data-secret", help="The Secret that holds it under the key userData.")
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", "--labels", "-l", metavar="KEY=VALUE", help="KEY=VALUE, or several with commas."),
]
Annotations = Annotated[
    list[str] | None,
    typer.Option("--annotation", metavar="KEY=VALUE", help="KEY=VALUE; the value may have commas."),
]
PowerOption = Annotated[
    Power | None, typer.Option("--power", help="Running or Stopped.", show_default="Running")
]
RestartPolicyOption = Annotated[
    RestartPolicy | None,
    typer.Option("--restart-policy", help="Always, OnFailure or Never.", show_default="Always"),
]
StorageOption = Annotated[
    Storage | None, typer.Option("--storage", help="Stream or Copy.", show_default="Stream")
]
Priority = Annotated[
    int | None,
    typer.Option("--priority", help="Who is placed first while guests wait: the highest.", show_default="0"),
]
Hostname = Annotated[
    str | None, typer.Option("--hostname", help="Its own hostname.", show_default="its name")
]
ReadyWhen = Annotated[
    str | None, typer.Option("--ready-when", help=f"Ready once it answers: {manifest.PROBES}.")
]
WaitFor = Annotated[
    Layer | None, typer.Option("--wait", help="Wait for image, host, address, running or ready.")
]

# Where it runs
Cluster = Annotated[str | None, typer.Option("--cluster", help="Only on hosts of this Cluster.")]
ClusterSelector = Annotated[
    list[str] | None,
    typer.Option(
        "--cluster-selector",
        metavar="SELECTOR",
        help="Only on hosts of Clusters with these labels: a selector.",
    ),
]
HostSelector = Annotated[
    list[str] | None,
    typer.Option(
        "--host-selector",
        metavar="SELECTOR",
        help="Only on hosts with these labels: a selector, such as 'disk=ssd,rack notin (1,2)'.",
    ),
]
Toleration = Annotated[
    list[str] | None,
    typer.Option("--toleration", metavar="TOLERATION", help="A taint it puts up with: KEY[=VALUE][:EFFECT]."),
]
Affinity = Annotated[
    list[str] | None,
    typer.Option(
        "--affinity",
        metavar="TERM",
        help="In one place with guests of these labels, such as app=cache: on their host, or with app=cache@KEY "
        "where hosts have the same label KEY. With :WEIGHT behind it (1 to 100), only rather there.",
    ),
]
AntiAffinity = Annotated[
    list[str] | None,
    typer.Option("--anti-affinity", metavar="TERM", help="Apart from guests, said as for --affinity."),
]
SpreadOver = Annotated[
    list[str] | None,
    typer.Option(
        "--spread-over",
        metavar="KEY",
        help="Guests with its labels lie evenly over the values of a label of hosts: KEY, or KEY=MAX_SKEW; "
        "with :ScheduleAnyway behind it, only rather so.",
    ),
]

"""A Guest's manifest from what a person typed. Pure: options in, document out; what is left out, the API server fills in.

Only the form of each option is looked at here. Whether the values make sense, the API server says.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from innkeeper.cli.guest.placement import PlacementOptions, placement

Document = dict[str, Any]
PROBES = "ping, guest-agent or tcp:PORT"


@dataclass(frozen=True, kw_only=True)
class GuestOptions:
    """What was typed; everything but name, namespace and image may be left out."""

    name: str
    namespace: str
    image: str
    flavor: str | None = None
    cpu: str | None = None
    memory: str | None = None
    disk: str | None = None
    pools: Sequence[str] = ()
    interfaces: Sequence[str] = ()
    ssh_keys: Sequence[str] = ()
    user_data: str | None = None
    user_data_secret: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    power: str | None = None
    restart_policy: str | None = None
    storage: str | None = None
    priority: int | None = None
    hostname: str | None = None
    placement: PlacementOptions = field(default_factory=PlacementOptions)
    ready_when: str | None = None


def guest(options: GuestOptions) -> Document:
    """Return the manifest.

    Raises:
        ValueError: an option has not the form that it should have; the message shows it.
    """
    metadata: Document = {"name": options.name, "namespace": options.namespace}
    metadata |= _without_none(labels=dict(options.labels), annotations=dict(options.annotations))
    spec = _without_none(
        image=_image(options.image),
        flavor=options.flavor,
        resources=_resources(options),
        power=options.power,
        restartPolicy=options.restart_policy,
        storage=options.storage,
        readinessProbe=_probe(options.ready_when),
        interfaces=_interfaces(options),
        placement=placement(options.placement, labels=options.labels),
        priority=options.priority,
        sshKeys=_ssh_keys(options.ssh_keys),
        userData=_user_data(options),
        hostname=options.hostname,
    )
    return {"apiVersion": "innkeeper.dev/v1alpha1", "kind": "Guest", "metadata": metadata, "spec": spec}


def labels(words: Iterable[str]) -> dict[str, str]:
    """Return `key=value,key=value` words as one mapping: no value of a label has a comma.

    Raises:
        ValueError: one is no such word.
    """
    return annotations(part for each in words for part in each.split(","))


def annotations(words: Iterable[str]) -> dict[str, str]:
    """Return `key=value` words as one mapping. A value is text of any kind, commas and equals signs too.

    Raises:
        ValueError: one is no such word.
    """
    found = {}
    for word in words:
        key, separator, value = word.partition("=")
        if not key or not separator:
            raise ValueError(f"{word[:60]!r} is no KEY=VALUE")
        found[key] = value
    return found


def ssh_key_lines(text: str) -> list[str]:
    """Return the keys of a file in the form of `authorized_keys` or of a `.pub` file."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _without_none(**values: Any) -> Document:
    return {key: value for key, value in values.items() if value not in (None, [], {})}


def _image(word: str) -> Document:
    namespace, separator, name = word.rpartition("/")
    if not name or "/" in namespace or (separator and not namespace):
        raise ValueError(f"{word[:60]!r}: an image is NAME, or NAMESPACE/NAME of a shared one")
    return {"name": name, "namespace": namespace} if separator else {"name": name}


def _resources(options: GuestOptions) -> Document | None:
    given = _without_none(cpu=options.cpu, memory=options.memory, disk=options.disk)
    if options.flavor is not None and given:
        raise ValueError("give --flavor, or --cpu, --memory and --disk")
    if options.flavor is None and len(given) < 3:  # noqa: PLR2004 - all of them
        raise ValueError("give --flavor, or all of --cpu, --memory and --disk")
    return given


def _interfaces(options: GuestOptions) -> list[Document]:
    found = [_interface(word) for word in options.interfaces]
    found += [{"pool": pool} for pool in options.pools]
    if not found:
        raise ValueError("give --pool, or --interface, at least once")
    return _named(found)


def _named(interfaces: list[Document]) -> list[Document]:
    """Give a name to each interface that has none: `ethN` by its place, or the next that nobody has asked for."""
    asked = [each["name"] for each in interfaces if "name" in each]
    if twice := next((name for name in asked if asked.count(name) > 1), None):
        raise ValueError(f"two interfaces are named {twice[:60]!r}: each has a name of its own")
    taken = set(asked)
    found: list[Document] = []
    for at, each in enumerate(interfaces):
        name = each.get("name") or next(free for n in count(at) if (free := f"eth{n}") not in taken)
        taken.add(name)
        found.append({"name": name, **each})
    return found


def _interface(word: str) -> Document:
    """Read `name=eth0,mac=02:..,pool=v4,address=10.0.0.5,pool=v6`: each pool begins an address."""
    found: Document = {}
    addresses: list[Document] = []
    for part in word.split(","):
        key, _, value = part.partition("=")
        if not value or key not in ("name", "mac", "pool", "address"):
            raise ValueError(f"{part[:60]!r}: an interface is name=NAME,mac=MAC,pool=POOL,address=ADDRESS")
        if key == "pool":
            addresses.append({"pool": value})
        elif key == "address":
            if not addresses or "address" in addresses[-1]:
                raise ValueError(f"{part[:60]!r}: name the pool of an address before it")
            addresses[-1]["address"] = value
        elif key in found:
            raise ValueError(f"{part[:60]!r}: an interface has one {key}; give --interface again for another")
        else:
            found[key] = value
    if not addresses:
        raise ValueError(f"{word[:60]!r} names no pool")
    if len(addresses) == 1 and "address" not in addresses[0]:
        return {**found, **addresses[0]}
    return {**found, "addresses": addresses}


def _probe(word: str | None) -> Document | None:
    if word is None:
        return None
    kind, _, port = word.partition(":")
    if kind == "tcp" and port.isascii() and port.isdigit():
        return {"tcp": {"port": int(port)}}
    if word in ("ping", "guest-agent"):
        return {"ping" if word == "ping" else "guestAgent": {}}
    raise ValueError(f"{word[:60]!r}: a guest is ready when it answers {PROBES}")


def _ssh_keys(words: Sequence[str]) -> list[str]:
    if not all(word.strip() for word in words):
        raise ValueError("--ssh-key is empty: give a public key, or leave it out")
    return list(words)


def _user_data(options: GuestOptions) -> Document | None:
    if options.user_data is not None and options.user_data_secret is not None:
        raise ValueError("give --user-data or --user-data-secret")
    if "" in (options.user_data, options.user_data_secret):
        raise ValueError("the user data, or the name of its Secret, is empty: leave the option out")
    return _without_none(inline=options.user_data, secretName=options.user_data_secret)

"""Which hosts a snapshot names, and where each is reached: whosever store it is of, whichever version wrote it.

It is for the day on which the store itself is gone. Only the few fields that tell it are read, so a snapshot of which
nothing else is of use any more still names hosts. Hosts that a person said are lost are left out. Pure.
"""

import msgspec

from innkeeper.domain.names import host_of_namespace
from innkeeper.state.snapshot import Refused, SnapshotRefusedError, contents
from innkeeper.views.meta import View


class _Meta(View, frozen=True, kw_only=True):
    name: str
    namespace: str = ""


class _Spec(View, frozen=True, kw_only=True):
    lost: str | None = None


class _Status(View, frozen=True, kw_only=True):
    address: str | None = None


class _Object(View, frozen=True, kw_only=True):
    metadata: _Meta
    spec: _Spec = _Spec()
    status: _Status = _Status()


def hosts_of(content: bytes) -> dict[str, str | None]:
    """Return the address of each host that a snapshot's bytes name; None where it says none.

    Raises:
        SnapshotRefusedError: it is damaged, or of another form.
    """
    found = {kind: part for kind, part in contents(content) if kind in ("hosts", "hostagents")}
    try:
        hosts, agents = _objects(found.get("hosts")), _objects(found.get("hostagents"))
    except (msgspec.DecodeError, ValueError) as error:
        raise SnapshotRefusedError(Refused.OTHER_FORM, f"the snapshot has another form: {error}") from error
    lost = {each.metadata.name for each in hosts if each.spec.lost is not None}
    named: dict[str, str | None] = {each.metadata.name: None for each in hosts}
    for each in agents:
        host = host_of_namespace(each.metadata.namespace)
        if host is not None:
            named[host] = each.status.address
    return {host: address for host, address in named.items() if host not in lost}


def _objects(part: memoryview | None) -> list[_Object]:
    return msgspec.msgpack.decode(part, type=list[_Object]) if part is not None else []

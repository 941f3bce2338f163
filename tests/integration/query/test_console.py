"""What a guest wrote to its console, through the query API: from its host, for those who may read it."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from innkeeper.domain.host_console import END_HEADER
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import GUESTS
from tests.integration.query.conftest import Plane, answering, known
from tests.kit.told_agent import Pki, hosts_pki, served
from tests.kit.waiting import eventually

pytestmark = pytest.mark.control_plane

PATH = "/namespaces/default/guestviews/web/console"
WRITTEN = b"Debian GNU/Linux 12 web ttyS0\n\xff\nweb login: "


async def answer(request: web.Request) -> web.StreamResponse:
    """Answer as an agent does that has one guest, and knows nothing else."""
    if request.path.endswith("/console"):
        ends = {END_HEADER: f"7-{request.query['after'] or 0}-0"} if "after" in request.query else {}
        return web.Response(body=WRITTEN[-int(request.query["bytes"]) :], headers=ends)
    return web.json_response({"reason": "Busy", "message": "not now"}, status=503)


async def test_what_a_guest_wrote_is_read_from_its_host(plane: Plane, tmp_path: Path) -> None:
    alice = plane.authority.ensure_client("alice", user="alice")
    bob = plane.authority.ensure_client("bob", user="bob")
    pki = hosts_pki(tmp_path / "hosts", "a")
    async with (
        served(pki, answer) as place,
        answering(plane, tmp_path, **reading(pki, tmp_path, place)) as (
            operator,
            queries,
        ),
    ):
        await known(operator, "db")
        status, told = await queries.ask(PATH.replace("/web/", "/db/"), certificate=alice)
        assert (status, told["reason"]) == (409, "Conflict"), "it is on no host"
        await bind(plane)
        await eventually(lambda: operator.subset.guests[("default", "web")].status.host)

        async def is_read() -> bool:
            status, told = await queries.ask(PATH, certificate=alice)
            assert (status, told.get("text")) == (200, "Debian GNU/Linux 12 web ttyS0\n\ufffd\nweb login: ")
            return True

        await eventually(is_read, deadline_s=30)  # the hosts file is read a moment after the start
        status, told = await queries.ask(f"{PATH}?limitBytes=7", certificate=alice)
        assert (status, told["text"], told["end"]) == (200, "login: ", "")
        assert (await queries.ask(f"{PATH}?after=", certificate=alice))[1]["end"] == "7-0-0"
        status, told = await queries.ask(f"{PATH}?after=7-3-5", certificate=alice)
        assert (status, told["end"]) == (200, ""), "what the host says is no place"
        assert (await queries.ask(f"{PATH}?after=../x", certificate=alice))[0] == 400
        assert (await queries.ask(PATH, certificate=bob))[0] == 403


async def test_a_host_that_cannot_be_asked_is_told(plane: Plane, tmp_path: Path) -> None:
    alice = plane.authority.ensure_client("alice", user="alice")
    await bind(plane)
    async with answering(plane, tmp_path) as (operator, queries):
        await eventually(lambda: operator.subset.guests[("default", "web")].status.host)
        status, told = await queries.ask(PATH, certificate=alice)
        assert (status, told["reason"]) == (503, "ServiceUnavailable")
        assert "--hosts-" in told["message"]


def reading(pki: Pki, directory: Path, place: str) -> dict[str, Any]:
    """Return the settings of an operator that can ask the host."""
    file = directory / "hosts.yaml"
    file.write_text(f'hosts: [{{name: a, address: "{place}"}}]')
    files = pki.files
    return {
        "hosts_ca_file": files.authority,
        "hosts_certificate_file": files.certificate,
        "hosts_key_file": files.key,
        "hosts_file": file,
        "rebuild": "Never",  # nobody has anything to make anew here
    }


async def bind(plane: Plane) -> None:
    """Bind the guest to host `a`, as the operator would."""
    async with Client(Credentials.from_kubeconfig(plane.operator)) as client:
        guest = await client.get(GUESTS, "web", namespace="default")
        status = {"host": "a", "id": guest.metadata.uid, "cluster": "lab", "epoch": 1}
        await client.patch(GUESTS, "web", {"status": status}, namespace="default", subresource="status")

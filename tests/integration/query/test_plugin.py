"""`kubectl guest` against a real API server and a real query API, as a person types it and with their rights."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from kit import paths, query_api
from kit.certificates import Authority
from kit.kubectl import Kubectl

from innkeeper.cli.guest.exit_codes import ExitCode
from tests.integration.query.conftest import Plane, answering, known
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(300)]

SERVICE = "innkeeper-query.innkeeper-system.svc"
CREATE = ["--flavor=small", "--pool=lab"]
PLACED = [
    "--label=app=web",
    "--cluster-selector=site in (a,b)",
    "--host-selector=disk=ssd,rack notin (1,2),!old",
    "--toleration=gpu=a100:NoSchedule",
    "--affinity=app=cache@example.com/rack:50",
    "--anti-affinity=app=web",
    "--spread-over=example.com/rack=2",
    "--spread-over=example.com/room:ScheduleAnyway",
]


class Person:
    """Somebody who types `kubectl guest`, in a process of its own."""

    def __init__(self, kubeconfig: Path, name: str) -> None:
        self._options = [f"--kubeconfig={kubeconfig}", f"--as={name}"]

    async def types(self, *words: str, module: str = "commands") -> subprocess.CompletedProcess[str]:
        """Return what came of it; options that lead to the cluster stand behind the verb, where there is one."""
        code = f"from innkeeper.cli.guest.{module} import main; main()"
        kubectl = paths.kubectl()
        assert kubectl is not None
        verb, *rest = words
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", code, verb, *self._options, *rest],
            env={**os.environ, "PATH": f"{kubectl.parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


def own_address() -> str:
    """Return an address of this machine that is not the loopback's: no other may be an endpoint."""
    command = ["ip", "-json", "-4", "address", "show", "scope", "global"]
    links = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    found = [each["local"] for link in links for each in link["addr_info"]]
    assert found, "this machine has no address but the loopback's"
    return str(found[0])


@asynccontextmanager
async def registered(plane: Plane, directory: Path) -> AsyncIterator[None]:
    """Run an operator, and lead the API server to it."""
    kubectl = Kubectl(plane.admin)
    names = ("127.0.0.1", SERVICE)
    async with answering(plane, directory, names=names, query_listen="0.0.0.0") as (operator, _):  # noqa: S104 - the API server comes by another address than the loopback's
        await known(operator, "web")
        authority = Authority(directory / "pki").own.certificate
        address = await asyncio.to_thread(own_address)
        await asyncio.to_thread(
            query_api.register, kubectl, address=address, port=operator.query_port, authority=authority
        )

        async def is_available() -> bool:
            said = await asyncio.to_thread(query_api.availability, kubectl)
            assert said is not None
            assert said.available, said.message
            return True

        try:
            await eventually(is_available, deadline_s=60)
            yield
        finally:
            await asyncio.to_thread(query_api.withdraw, kubectl)


async def test_a_person_creates_finds_and_waits_with_their_own_rights(plane: Plane, tmp_path: Path) -> None:
    alice, bob = Person(plane.admin, "alice"), Person(plane.admin, "bob")
    async with registered(plane, tmp_path):
        dry = ["--dry-run=server", "-o", "name"]
        tried = await alice.types("create", "shop", "--image=none", *CREATE, *PLACED, *dry)
        assert (tried.returncode, tried.stdout) == (0, "guest.innkeeper.dev/shop\n"), tried.stderr
        assert (await alice.types("get", "shop")).returncode == ExitCode.FAILED, "nothing was kept"
        refused = await alice.types("create", "shop", "--image=none", *CREATE, "--priority=9999999")
        assert refused.returncode == ExitCode.FAILED
        assert "spec.priority" in refused.stderr

        # No Image has that name: nobody waits for it.
        made = await alice.types("create", "shop", "--image=none", *CREATE, "--wait=image")
        assert made.returncode == ExitCode.STALLED, made.stderr
        assert "shop: ImageNotFound" in made.stderr
        created, urn = made.stdout.splitlines()
        assert created == "guest.innkeeper.dev/shop created"
        again = await alice.types("create", "shop", "--image=none", *CREATE)
        assert again.returncode == ExitCode.FAILED
        assert "already exists" in again.stderr

        found = await alice.types("get", urn, "-n", "kube-system", "-o", "name")
        assert (found.returncode, found.stdout) == (0, "guest.innkeeper.dev/shop\n"), found.stderr
        hidden, nobody = await bob.types("get", urn), await bob.types("get", "urn:innkeeper:guest:none")
        assert hidden.returncode == nobody.returncode == ExitCode.FAILED
        guest_id = urn.rpartition(":")[2]
        assert hidden.stderr.replace(guest_id, "none") == nobody.stderr

        stopped = await alice.types("stop", urn, "--no-wait")
        assert (stopped.returncode, stopped.stdout) == (0, "guest.innkeeper.dev/shop patched\n"), (
            stopped.stderr
        )
        listed = await alice.types("list", "-o", "wide")
        assert "shop" in listed.stdout, listed.stderr
        offered = await alice.types("get", "sh", module="completion")
        assert offered.stdout == "shop\n:4\n", offered.stderr
        waited = await alice.types("wait", "web", "--for=host", "--timeout=1s")
        assert waited.returncode == ExitCode.STALLED, waited.stderr
        top = await alice.types("top")
        assert (top.returncode, top.stderr) == (0, "no guests found\n")
        assert "forbidden" in (await alice.types("top", "-A")).stderr

"""The query API answers while the API server's store is away, for whom it knew before."""

from pathlib import Path

import pytest

from tests.integration.query.conftest import Plane, answering, known
from tests.kit.install import run

pytestmark = pytest.mark.control_plane


async def test_it_answers_while_the_store_is_away(plane: Plane, tmp_path: Path) -> None:
    alice = plane.authority.ensure_client("alice", user="alice")
    robot = run(plane.admin, "create", "token", "robot", "-n", "default").stdout.strip()
    async with answering(plane, tmp_path) as (operator, queries):
        await known(operator, "web")
        path = "/namespaces/default/guestviews"
        for who in ({"certificate": alice}, {"token": robot}):
            assert (await queries.ask(path, **who))[0] == 200
        before = (await queries.ask(path, certificate=alice))[1]["viewAgeSeconds"]
        plane.stop_etcd()
        for who in ({"certificate": alice}, {"token": robot}):
            status, listed = await queries.ask(path, **who)
            assert (status, len(listed["items"])) == (200, 2)
        assert listed["viewAgeSeconds"] != before

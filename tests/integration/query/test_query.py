"""The query API asked directly: who gets in, and what they get."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.query.conftest import Plane, answering, known
from tests.kit.certificates import expired_client
from tests.kit.install import run

pytestmark = pytest.mark.control_plane


def spec(**changes: Any) -> dict[str, Any]:
    return {
        "image": {"name": "debian"},
        "flavor": "small",
        "interfaces": [{"pool": "lab"}],
        **changes,
    }


async def test_who_gets_in_and_what_they_see(plane: Plane, tmp_path: Path) -> None:
    alice = plane.authority.ensure_client("alice", user="alice")
    bob = plane.authority.ensure_client("bob", user="bob")
    proxy = plane.front_proxy.pair("front-proxy-client")
    robot = run(plane.admin, "create", "token", "robot", "-n", "default").stdout.strip()
    async with answering(plane, tmp_path) as (operator, queries):
        await known(operator, "web")
        await known(operator, "db")
        path = "/namespaces/default/guestviews"

        status, listed = await queries.ask(path + "?sortBy=name&limit=1", certificate=alice)
        assert (status, [each["metadata"]["name"] for each in listed["items"]]) == (200, ["db"])
        assert listed["metadata"]["remainingItemCount"] == 1
        assert listed["viewAgeSeconds"] >= 0
        more = listed["metadata"]["continue"]
        status, listed = await queries.ask(f"{path}?sortBy=name&limit=1&continue={more}", certificate=alice)
        assert [each["metadata"]["name"] for each in listed["items"]] == ["web"]
        assert "continue" not in listed["metadata"]

        status, listed = await queries.ask(path + "?labelSelector=app%3Dweb", token=robot)
        assert (status, [each["metadata"]["name"] for each in listed["items"]]) == (200, ["web"])
        status, table = await queries.ask(
            path, certificate=alice, headers={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        )
        assert (table["kind"], len(table["rows"])) == ("Table", 2)

        # Nobody vouches for the caller, or the rights end at the namespace.
        assert (await queries.ask(path))[0] == 401
        assert (await queries.ask(path, token="made-up"))[0] == 401
        assert (await queries.ask(path, certificate=bob))[0] == 403
        assert (await queries.ask("/namespaces/kube-system/guestviews", certificate=alice))[0] == 403
        assert (await queries.ask("/guestviews", certificate=alice))[0] == 403

        # Headers about a user count only from the API server itself.
        headers = {"X-Remote-User": "alice", "X-Remote-Group": "system:authenticated"}
        assert (await queries.ask(path, certificate=bob, headers=headers))[0] == 403
        assert (await queries.ask(path, headers=headers))[0] == 401
        assert (await queries.ask(path, certificate=proxy, headers=headers))[0] == 200
        assert (await queries.ask(path, certificate=proxy))[0] == 401


async def test_why_not_and_what_if(plane: Plane, tmp_path: Path) -> None:
    alice = plane.authority.ensure_client("alice", user="alice")
    robot = run(plane.admin, "create", "token", "robot", "-n", "default").stdout.strip()
    async with answering(plane, tmp_path) as (operator, queries):
        await known(operator, "web")
        path = "/namespaces/default/guestviews/web/explanation"
        status, found = await queries.ask(path, certificate=alice)
        assert status == 200
        assert found["status"]["blocked"]["reason"] == "ImageNotFound"
        assert "default/debian; 0 of 1 hosts fit: 1 is " in found["status"]["message"]
        (verdict,) = found["status"]["verdicts"]
        assert (verdict["host"], verdict["total"]) == ("a", None)
        assert {"NotReady", "Maintenance", "InsufficientCpu"} <= {
            each["reason"] for each in verdict["failures"]
        }

        metadata = {"name": "new", "uid": operator.subset.guests["default", "web"].metadata.uid}
        dry = {"spec": {"guest": {"metadata": metadata, "spec": spec(placement={"cluster": "other"})}}}
        status, found = await queries.ask("/namespaces/default/explanations", certificate=alice, body=dry)
        assert (status, found["status"]["blocked"]["reason"]) == (201, "ImageNotFound")
        assert found["status"]["message"].endswith("; 0 of 1 hosts fit: 1 is in another cluster")
        status, _ = await queries.ask("/namespaces/default/explanations", token=robot, body=dry)
        assert status == 403
        dry["spec"]["guest"]["spec"]["power"] = "On"
        status, refused = await queries.ask("/namespaces/default/explanations", certificate=alice, body=dry)
        assert (status, refused["details"]["causes"][0]["field"]) == (422, "spec.power")
        status, missing = await queries.ask("/namespaces/default/guestviews/none", certificate=alice)
        assert (status, missing["reason"]) == (404, "NotFound")


async def test_certificates_that_do_not_count(plane: Plane, tmp_path: Path) -> None:
    """One that ended is refused by TLS; the front proxy's authority vouches for nobody but the proxy's own name."""
    ended = expired_client(plane.authority, tmp_path, user="alice")
    impostor = plane.front_proxy.ensure_client("impostor", user="somebody-else")
    path = "/namespaces/default/guestviews"
    headers = {"X-Remote-User": "alice", "X-Remote-Group": "system:masters"}
    async with answering(plane, tmp_path) as (operator, queries):
        await known(operator, "web")
        with pytest.raises(aiohttp.ClientError):
            await queries.ask(path, certificate=ended)
        assert (await queries.ask(path, certificate=impostor, headers=headers))[0] == 401


async def test_answers_are_counted_by_path_and_code(plane: Plane, tmp_path: Path) -> None:
    alice = plane.authority.ensure_client("alice", user="alice")
    async with answering(plane, tmp_path) as (operator, queries):
        await known(operator, "web")
        for name in ("web", "none", "none-either"):
            await queries.ask(f"/namespaces/default/guestviews/{name}", certificate=alice)
        await queries.ask("/nothing/like/it", certificate=alice)
        path = "namespaces/{namespace}/guestviews/{name}"
        counted = {
            (labels["path"], labels["code"]): value
            for metric in operator.registry.collect()
            if metric.name == "innkeeper_queries"
            for name, labels, value, *_ in metric.samples
            if name.endswith("_total")
        }
        assert counted == {(path, "200"): 1, (path, "404"): 2, ("other", "404"): 1}

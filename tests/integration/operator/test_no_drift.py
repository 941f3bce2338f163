"""A pipeline never sees drift: the operator writes no field that people write, and nothing comes back spelled anew.

Objects of each kind that people write, in few words and in all, are applied as Flux does; once the operator has worked,
`kubectl diff` is empty by both ways of applying, and beside other managers of the same objects.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from innkeeper.kube.client import Client
from tests.kit import desired
from tests.kit.desired import Document, without_defaults
from tests.kit.install import run
from tests.kit.journal import Journal, journal
from tests.kit.kstatus import Status
from tests.kit.scripted_agent import ScriptedAgent
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(300), pytest.mark.usefixtures("operator")]

FLUX = "--field-manager=kustomize-controller"
SERVER_SIDE = ("--server-side", FLUX, "--force-conflicts")


@dataclass
class Repository:
    """A directory of manifests, and the API server that they are applied to."""

    kubeconfig: Path
    directory: Path
    documents: list[Document]
    book: Journal

    async def kubectl(self, *arguments: str, check: bool = True) -> str:
        """Run kubectl; return what it prints."""
        done = await asyncio.to_thread(run, self.kubeconfig, *arguments, check=check)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def write(self) -> None:
        """Write the documents into the directory."""
        for number, document in enumerate(self.documents):
            (self.directory / f"{number}.json").write_text(json.dumps(document))

    def live(self) -> Iterator[tuple[Document, Document]]:
        """Yield each document with the object as it is now."""
        for each in self.documents:
            found = self.book.newest(each["kind"], each["metadata"]["name"])
            assert found is not None, each["kind"]
            yield each, found

    async def has_settled(self) -> None:
        """Wait until all is Current, and the agent's guest with its operation."""

        def current() -> bool:
            late = [
                each["kind"]
                for each in self.documents
                if self.book.status(each["kind"], each["metadata"]["name"]) is not Status.CURRENT
            ]
            assert not late, late
            return True

        await eventually(current, deadline_s=90)

    async def shows_no_drift(self) -> None:
        """Check it in every way in which a pipeline looks."""
        await self.kubectl("diff", f"--filename={self.directory}")
        await self.kubectl("diff", *SERVER_SIDE, f"--filename={self.directory}")
        for wanted, found in self.live():
            assert found["metadata"]["generation"] == 1, f"{found['kind']} was changed"
            assert without_defaults(found, wanted) == wanted["spec"]
            assert list(writers_of_spec(found)) == ["kustomize-controller"], found["metadata"][
                "managedFields"
            ]


def writers_of_spec(document: Document) -> Iterator[str]:
    """Yield who owns fields of the spec."""
    for entry in document["metadata"]["managedFields"]:
        if "f:spec" in entry["fieldsV1"]:
            yield entry["manager"]


@pytest.fixture(params=["plain", "full"])
async def repository(
    request: pytest.FixtureRequest, admin: Client, kubeconfigs: tuple[Path, Path], name: str, tmp_path: Path
) -> AsyncIterator[Repository]:
    """A repository, applied as Flux does, once all of it is Current."""
    async with journal(admin) as book, ScriptedAgent(admin, name) as agent:
        documents = {"plain": desired.plain, "full": desired.full}[request.param](name)
        found = Repository(kubeconfigs[0], tmp_path, documents, book)
        found.write()
        await found.kubectl("apply", *SERVER_SIDE, f"--filename={tmp_path}")
        serving = asyncio.create_task(agent.serve())
        await found.has_settled()
        yield found
        await found.kubectl("delete", "--ignore-not-found", "--timeout=90s", f"--filename={tmp_path}")
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def _writes(repository: Repository) -> dict[str, Any]:
    """Return who wrote what of each object, and when, but for its status, where the operator's counters go on."""
    return {
        each["kind"]: [
            entry for entry in each["metadata"]["managedFields"] if entry.get("subresource") != "status"
        ]
        for _, each in repository.live()
    }


async def test_what_was_applied_is_what_is_there(repository: Repository) -> None:
    await repository.shows_no_drift()
    before = _writes(repository)
    await repository.kubectl("apply", *SERVER_SIDE, f"--filename={repository.directory}")
    await repository.shows_no_drift()
    assert _writes(repository) == before, "to apply the same again writes nothing"


async def test_other_managers_of_the_same_objects_leave_no_drift(repository: Repository) -> None:
    """A person's label, and a controller that puts on a label of its own, again and again between Flux's rounds."""
    guest = next(each for each in repository.documents if each["kind"] == "Guest")
    name = guest["metadata"]["name"]
    theirs = {**guest, "metadata": {"name": name, "namespace": "default", "labels": {"night": "off"}}}
    del theirs["spec"]
    file = repository.directory.with_name("theirs.json")
    file.write_text(json.dumps(theirs))
    for _ in range(2):
        await repository.kubectl("label", "--overwrite", "guest", name, "note=mine", "--namespace=default")
        await repository.kubectl("apply", "--server-side", "--field-manager=autoscaler", f"--filename={file}")
        await repository.kubectl("apply", *SERVER_SIDE, f"--filename={repository.directory}")
    await repository.shows_no_drift()
    found = repository.book.newest("Guest", name)
    assert found is not None
    assert found["metadata"]["labels"] == {**desired.LABELS, "note": "mine", "night": "off"}


async def test_the_old_way_of_applying_shows_none_either(repository: Repository) -> None:
    """Argo CD and people apply from the client, with what was applied last in an annotation."""
    await repository.kubectl("apply", f"--filename={repository.directory}")
    await repository.kubectl("apply", f"--filename={repository.directory}")
    await repository.kubectl("diff", f"--filename={repository.directory}")
    for wanted, found in repository.live():
        assert found["metadata"]["generation"] == 1
        assert without_defaults(found, wanted) == wanted["spec"]
        last = json.loads(
            found["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
        )
        assert last["spec"] == wanted["spec"]


@pytest.mark.parametrize("repository", ["plain"], indirect=True)
async def test_a_field_that_another_manager_owns_is_not_taken_by_who_does_not_name_it(
    repository: Repository,
) -> None:
    """A controller that stops guests at night: the repository that does not say `power` never starts them."""
    guest = next(each for each in repository.documents if each["kind"] == "Guest")
    assert "power" not in guest["spec"]
    name = guest["metadata"]["name"]
    await repository.kubectl("patch", "guest", name, "--namespace=default", "--type=merge",
                             "--field-manager=night", '--patch={"spec": {"power": "Stopped"}}')  # fmt: skip
    await repository.kubectl("apply", *SERVER_SIDE, f"--filename={repository.directory}")
    await repository.kubectl("diff", *SERVER_SIDE, f"--filename={repository.directory}")
    found = await eventually(lambda: repository.book.newest("Guest", name))
    assert found["spec"]["power"] == "Stopped"

"""Completion: what kubectl asks for while somebody types, and what the shells are given."""

import shutil
import subprocess
from pathlib import Path

import pytest

from innkeeper.cli.guest import completion
from tests.kit.fake_kubectl import FakeKubectl

VIEWS = "/apis/query.innkeeper.dev/v1alpha1/namespaces/{}/guestviews"


@pytest.fixture
def kubectl(tmp_path: Path) -> FakeKubectl:
    made = FakeKubectl(tmp_path)
    made.install()
    for namespace, names in (("default", ["web", "web-2", "db"]), ("shop", ["till"])):
        items = [{"metadata": {"name": name}} for name in names]
        made.lay(VIEWS.format(namespace), {"items": items, "metadata": {}})
    return made


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["get", "we"], ["web", "web-2"]),
        (["get", "web", ""], ["web", "web-2", "db"]),
        (["-n", "shop", "stop", ""], ["till"]),
        (["stop", "-n", "shop", ""], ["till"]),
        (["rem"], ["remove-orphan"]),
        (["wait", "web", "--for", "r"], ["running", "ready"]),
        (["create", "new", "--pow"], ["--power"]),
        (["ssh", "--context", "mine", "d"], ["db"]),
    ],
)
def test_kubectl_is_told_candidates_and_to_offer_no_files(
    kubectl: FakeKubectl, words: list[str], offered: list[str]
) -> None:
    done = kubectl.run(*words, module="completion")
    assert done.stdout.splitlines() == [*offered, ":4"], done.stderr


def test_names_beyond_the_first_page_are_offered(kubectl: FakeKubectl) -> None:
    pages = {"": (["a1", "b1"], "b1"), "&continue=b1": (["b2"], "b2"), "&continue=b2": (["b3"], "")}
    for query, (names, after) in pages.items():
        items = [{"metadata": {"name": name}} for name in names]
        path = f"{VIEWS.format('default')}?limit={completion.PAGE}{query}"
        kubectl.lay(path, {"items": items, "metadata": {"continue": after} if after else {}})
    done = kubectl.run("get", "b", module="completion")
    assert done.stdout.splitlines() == ["b1", "b2", "b3", ":4"], done.stderr


def test_a_list_without_an_end_is_left_after_a_few_pages(kubectl: FakeKubectl) -> None:
    kubectl.lay(VIEWS.format("default"), {"items": [], "metadata": {"continue": "x"}})
    assert kubectl.run("get", "b", module="completion").stdout == ":4\n"
    assert len([words for words in kubectl.calls() if "get" in words]) == completion.PAGES


def test_a_cluster_that_cannot_be_asked_offers_nothing(kubectl: FakeKubectl) -> None:
    kubectl.lay(VIEWS.format("default"), None)
    done = kubectl.run("get", "", module="completion")
    assert (done.stdout, done.stderr) == (":4\n", "")


def test_kubectl_is_given_a_program(kubectl: FakeKubectl) -> None:
    program = kubectl.run("completion", "kubectl").stdout
    plugin = "\n".join(["#!/bin/sh", f'exec {" ".join(map(_quoted, kubectl.command()))} "$@"', ""])
    kubectl.program("kubectl-guest", plugin)
    kubectl.program("kubectl_complete-guest", program)
    assert shutil.which("kubectl_complete-guest", path=str(kubectl.home / "bin"))
    done = subprocess.run(
        [str(kubectl.home / "bin" / "kubectl_complete-guest"), "get", "--output", "ya"],
        env=kubectl.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "yaml\n:4\n"


def _quoted(word: str) -> str:
    return f"'{word}'"

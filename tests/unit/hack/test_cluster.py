"""hack/cluster, as far as it goes without one: plans that cannot work, what is missing, and control groups."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.cluster import control_groups, volumes
from kit.cluster.plan import Cluster, load
from kit.steps import StepError

from tests.kit import hack_scripts


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the script with these words."""
    monkeypatch.setenv("INNKEEPER_RUN", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def run(*words: str) -> int:
        monkeypatch.setattr("sys.argv", ["cluster", *words])
        return int(hack_scripts.load("cluster").main())

    return run


@pytest.mark.parametrize("words", [("kubeconfig",), ("load", "a.tar"), ("exec", "--", "true")])
def test_a_cluster_that_is_not_there_is_told_of_and_leaves_nothing(
    cluster: Callable[..., int], tmp_path: Path, words: tuple[str, ...]
) -> None:
    with pytest.raises(
        StepError, match="there is no cluster none; start it with `hack/cluster up --name none`"
    ):
        cluster(words[0], "--name", "none", *words[1:])
    assert not list(tmp_path.iterdir())


def test_the_end_of_none_is_no_fault_and_its_status_is(cluster: Callable[..., int], tmp_path: Path) -> None:
    assert cluster("down", "--name", "none") == 0
    assert cluster("status", "--name", "none") == 1
    assert not list(tmp_path.iterdir())


def test_a_cluster_is_not_begun_where_its_programs_are_missing(
    cluster: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(StepError, match=r"not on PATH: containerd, .*; run hack/system-packages"):
        cluster("up", "--name", "small")
    assert not list(tmp_path.glob("*/cluster"))


@pytest.mark.parametrize(
    ("wishes", "why"),
    [
        ({"pods": "10.80.0.0/25"}, "overlaps another network"),
        ({"pods": "10.96.7.0/24"}, "overlaps another network"),
        ({"pods": "x"}, "--pod-subnet x"),
        ({"subnet": "10.80.0.0/16"}, "must be a /24"),
    ],
)
def test_networks_that_cannot_work_are_refused_before_anything_is_made(
    wishes: dict[str, str], why: str
) -> None:
    with pytest.raises(StepError, match=why):
        Cluster(name="small", **wishes)


@pytest.mark.usefixtures("cluster")
def test_what_was_asked_for_is_known_at_the_next_call() -> None:
    asked = Cluster(name="small", subnet="10.9.8.0/24", pods="10.9.9.0/24")
    asked.save()
    assert load("small") == asked


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two hierarchies, one of which gives processors."""
    for name, files in {"cpuset": ("cpuset.cpus", "cpuset.mems"), "pids": ()}.items():
        (tmp_path / name).mkdir()
        for each in files:
            (tmp_path / name / each).write_text("0-1\n")
    places = [("cgroup", str(tmp_path / name), "rw") for name in ("cpuset", "pids")]
    monkeypatch.setattr(control_groups, "mounts", lambda: [("tmpfs", str(tmp_path), "rw"), *places])
    return tmp_path


def test_a_group_may_be_made_twice_and_ends_with_all_below_it(groups: Path) -> None:
    control_groups.make("trial")
    (groups / "pids/trial/pod/container").mkdir(parents=True)
    control_groups.make("trial")
    control_groups.end("trial")
    control_groups.end("trial")
    assert sorted(str(each.relative_to(groups)) for each in groups.rglob("trial")) == []


def test_groups_of_pods_that_end_meanwhile_are_passed_by(
    groups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods = [groups / "pids" / "trial" / name for name in ("pod-a", "pod-b")]
    for each in pods:
        each.mkdir(parents=True)
        (each / "cgroup.procs").write_text("0\n")
    read = Path.read_text

    def read_while_the_other_ends(path: Path) -> str:
        for each in pods:
            if each != path.parent:
                shutil.rmtree(each, ignore_errors=True)
        return read(path)

    monkeypatch.setattr(Path, "read_text", read_while_the_other_ends)
    assert control_groups._members("trial") == set()


@pytest.mark.parametrize(
    ("kind", "options", "wanted"),
    [
        ("cgroup", "rw,name=systemd", "none,rw,name=systemd"),
        ("cgroup", "rw,cpu,cpuacct", "rw,cpu,cpuacct"),
        ("cgroup2", "rw,nsdelegate", "rw,nsdelegate"),
    ],
)
def test_a_hierarchy_without_a_controller_is_asked_for_as_such(kind: str, options: str, wanted: str) -> None:
    assert control_groups._mountable(kind, options) == wanted


def test_claims_get_volumes_of_the_node_by_default() -> None:
    """The chart names no class, and its claims ask for at most 50Gi."""
    storage_class, *made = volumes.objects(Cluster(name="small"))
    assert storage_class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true"
    paths = [each["spec"]["local"]["path"] for each in made]
    assert len(set(paths)) == len(paths) == volumes.COUNT
    assert {each["spec"]["storageClassName"] for each in made} == {storage_class["metadata"]["name"]}

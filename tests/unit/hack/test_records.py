"""What scripts remember: the next one reads it, or says that another version wrote it."""

import json
from pathlib import Path

import pytest
from kit import steps
from kit.cluster import plan as cluster_plan
from kit.control_plane import state
from kit.lab import plan as lab_plan


@pytest.fixture
def run_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("INNKEEPER_RUN", str(tmp_path))
    return tmp_path


def test_what_was_written_is_read(run_directory: Path) -> None:
    lab = lab_plan.Plan(name="l", hosts=("a", "b"))
    lab.save()
    assert lab_plan.load("l") == lab
    cluster = cluster_plan.Cluster(name="l")
    cluster.save()
    assert cluster_plan.load("l") == cluster
    assert not list(run_directory.rglob("*.new"))


@pytest.mark.usefixtures("run_directory")
def test_what_was_never_written_is_none() -> None:
    assert (lab_plan.load("l"), cluster_plan.load("l"), state.load("l")) == (None, None, None)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(json.dumps({"name": "l", "hosts": ["a"], "wings": 2}), id="a field more"),
        pytest.param(json.dumps({"name": "l"}), id="a field less"),
        pytest.param('{"name": "l", "ho', id="half of it"),
        pytest.param("[]", id="something else"),
    ],
)
def test_what_another_version_wrote_is_told_with_what_to_do(run_directory: Path, text: str) -> None:
    (run_directory / "l" / "lab").mkdir(parents=True)
    (run_directory / "l" / "lab" / "plan.json").write_text(text)
    with pytest.raises(steps.StepError, match=r"plan\.json was written by another version.*remove .*/l/lab"):
        lab_plan.load("l")

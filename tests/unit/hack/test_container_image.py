"""Building images, as far as it goes without root: what is missing is told first, and half an archive never stays."""

import os
import re
from pathlib import Path

import pytest
from kit import paths
from kit.container_image import builder, images
from kit.container_image.builder import Buildah
from kit.steps import StepError

from tests.kit import fake_programs

WRITES = 'for last; do :; done\nfile="${last#docker-archive:}"; echo bytes > "${file%%:*}"'
KNOWS = f'case "$*" in *" images "*) echo ID ;; *) {WRITES} ;; esac'


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH whose `unshare` runs a `buildah` that each test makes up."""
    monkeypatch.setenv("INNKEEPER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    directory = tmp_path / "bin"
    fake_programs.put(directory, "unshare", 'shift 3\nexec "$@"')
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    return directory


def test_missing_programs_are_told_before_minutes_of_work(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(StepError, match="not on PATH: buildah, mmdebstrap; run hack/system-packages"):
        images.build(images.TARGETS)


@pytest.mark.parametrize("version", ["", "1.2", "1.2.3-rc1", "1.2.3; rm -rf /", "v1.2.3"])
@pytest.mark.usefixtures("programs")
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(StepError, match="is no version such as"):
        images.build(images.TARGETS, version=version)


def test_an_archive_appears_whole_or_not_at_all(programs: Path, tmp_path: Path) -> None:
    fake_programs.put(programs, "buildah", f"{WRITES}\nexit 1")
    archive, store = tmp_path / "dist" / "image.tar", Buildah(tmp_path / "store")
    with pytest.raises(StepError, match=r"writing image\.tar"):
        store.export("localhost/image", archive)
    assert not list(archive.parent.iterdir())
    fake_programs.put(programs, "buildah", WRITES)
    store.export("localhost/image", archive)
    assert [each.name for each in archive.parent.iterdir()] == ["image.tar"]


def test_a_program_of_an_image_that_hangs_is_told_of_and_its_container_goes(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "_RUN_DEADLINE_S", 0.5)
    command = (
        'case "$*" in *" from "*) echo box ;; *" run "*) exec sleep 60 ;; *" rm box") touch removed ;; esac'
    )
    fake_programs.put(programs, "buildah", command)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StepError, match=r"buildah run .* took longer than"):
        Buildah(tmp_path / "store").run("localhost/image", ["id"])
    assert (tmp_path / "removed").exists()


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("global.index-url='https://a.example/simple'\n", "https://a.example/simple"),
        (
            "global.timeout='9'\ninstall.index-url=\"https://u:it's@a.example/\"\n",
            "https://u:it's@a.example/",
        ),
        (
            r"global.index-url='\nhttps://a.example/\nhttps://b.example/'",
            "https://a.example/\n    https://b.example/",
        ),
        ("global.extra-index-url='https://b.example/'\n", None),
        ("", None),
    ],
)
def test_the_index_that_pip_here_reaches_is_handed_on(said: str, value: str | None) -> None:
    assert images.told_setting(said, "index-url") == value


def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> images.Image:
    monkeypatch.setattr(images, "DIST", tmp_path)
    return images.Image("operator", "1.2.3")


def test_an_archive_is_written_again_only_when_its_image_changed(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, store = image(tmp_path, monkeypatch), Buildah(tmp_path / "store")
    fake_programs.put(programs, "buildah", KNOWS.replace("ID", "sha256:aa"))
    images._export(store, operator)
    first = operator.archive.stat().st_ino
    images._export(store, operator)
    assert operator.archive.stat().st_ino == first
    fake_programs.put(programs, "buildah", KNOWS.replace("ID", "sha256:bb"))
    images._export(store, operator)
    assert operator.archive.stat().st_ino != first


def test_an_image_that_buildah_does_not_know_is_never_called_unchanged(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = image(tmp_path, monkeypatch)
    operator.archive.touch()
    operator.archive.with_suffix(".id").touch()
    fake_programs.put(programs, "buildah", "exit 1")
    with pytest.raises(StepError, match=r"does not know localhost/innkeeper-operator:1\.2\.3"):
        images._export(Buildah(tmp_path / "store"), operator)


def test_an_image_that_has_grown_fails_and_its_size_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "DIST", tmp_path)
    made = [images.Image(target, "1.2.3") for target in images.TARGETS]
    for image in made:
        with image.archive.open("wb") as file:
            file.truncate(images.LARGEST[image.target] * 2**20)
    images.check_sizes(made)
    with made[1].archive.open("ab") as file:
        file.write(b"one more")
    with pytest.raises(StepError, match=r"have grown \(agent: 491 MiB, of 491 at most\)"):
        images.check_sizes(made)


def test_the_page_tells_sizes_that_the_bound_allows() -> None:
    """A tenth above what the page says: who allows more tells more."""
    page = (paths.CHECKOUT / "docs" / "how-to" / "build-images.md").read_text()
    told = {name: int(size) for name, size in re.findall(r"\| (operator|agent) \| (\d+) MiB \|", page)}
    assert {name: size * 11 // 10 for name, size in told.items()} == {
        name: pytest.approx(most, abs=1) for name, most in images.LARGEST.items()
    }

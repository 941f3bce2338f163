"""hack/nginx: it appears whole or not at all, and who may not reach an archive is told what to do."""

from pathlib import Path

import pytest
from kit import nginx
from kit.steps import StepError

from tests.kit import fake_programs

DOWNLOADS = "touch nginx_1.deb\necho download >> $INNKEEPER_CACHE/calls"
UNPACKS = 'mkdir -p "$3/usr/sbin"; printf "#!/bin/sh\\n" > "$3/usr/sbin/nginx"; chmod 755 "$3/usr/sbin/nginx"'


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "cache"
    directory.mkdir()
    monkeypatch.setenv("INNKEEPER_CACHE", str(directory))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    fake_programs.put(tmp_path / "bin", "apt-get", DOWNLOADS)
    fake_programs.put(tmp_path / "bin", "dpkg-deb", UNPACKS)
    return directory


def left_over(cache: Path) -> list[str]:
    return sorted({each.name for each in cache.iterdir()} - {"calls", "nginx.lock"})


def test_it_is_fetched_once(cache: Path) -> None:
    assert nginx.fetch() == nginx.fetch() == cache / "nginx/usr/sbin/nginx"
    assert (cache / "calls").read_text() == "download\n"
    assert left_over(cache) == ["nginx"]


def test_one_that_was_cut_off_leaves_nothing_and_comes_at_the_next_call(cache: Path, tmp_path: Path) -> None:
    fake_programs.put(tmp_path / "bin", "dpkg-deb", f"{UNPACKS}; chmod 644 $3/usr/sbin/nginx; exit 2")
    with pytest.raises(StepError, match="unpacking nginx"):
        nginx.fetch()
    assert left_over(cache) == []
    fake_programs.put(tmp_path / "bin", "dpkg-deb", UNPACKS)
    assert nginx.fetch().exists()


def test_an_archive_that_knows_no_package_yet_is_told_of(cache: Path, tmp_path: Path) -> None:
    fake_programs.put(tmp_path / "bin", "apt-get", "echo 'E: No packages found'; exit 100")
    with pytest.raises(StepError, match=r"(?s)No packages found.*run `apt-get update` first"):
        nginx.fetch()
    assert left_over(cache) == []


def test_a_package_without_the_program_is_told_of(cache: Path, tmp_path: Path) -> None:
    fake_programs.put(tmp_path / "bin", "dpkg-deb", 'mkdir -p "$3"')
    with pytest.raises(StepError, match="holds no"):
        nginx.fetch()
    assert cache.exists()

"""Backups in a real S3 server: the suite that every place must pass, and what only such a place has."""

import os
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import obstore
import pytest
from obstore.exceptions import PermissionDeniedError

from innkeeper.agent.backup import s3
from innkeeper.agent.backup.copying import BackupMark
from innkeeper.agent.backup.places import PlaceError, Places
from innkeeper.agent.backup.s3 import BackupBucket
from innkeeper.agent.backup.s3_access import S3AccessError
from innkeeper.agent.backup.targets import BackupFailedError, BackupTarget
from innkeeper.agent.paths import StatePaths
from innkeeper.agent.store.store import Store
from innkeeper.cli import agent_backups, agent_restore
from innkeeper.clock import SystemClock
from tests.kit.agent_orders import HOST, STORE
from tests.kit.backup_conformance import BackupConformance, at, name, take
from tests.kit.s3_server import ACCESS, BUCKET, SECRET, S3Server, s3_server


class Bucket:
    """A bench over a bucket of a server, below a prefix."""

    def __init__(self, server: S3Server, scratch: Path, prefix: str) -> None:
        self._root = server.data / BUCKET / prefix
        self._scratch = scratch
        self.server = server
        self.place = f"s3://{BUCKET}/{prefix}"

    def target(self, *, keep: int = 24) -> BackupTarget:
        places = Places(host=HOST, scratch=self._scratch, environment=os.environ, clock=SystemClock())
        return places.bucket(self.place, keep=keep)

    def lies(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self._root.iterdir()}

    def put(self, name: str, content: bytes) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        (self._root / name).write_bytes(content)

    def close(self) -> None:
        shutil.rmtree(self.server.data / BUCKET)


@pytest.fixture(params=[False, True], ids=["http", "https"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[S3Server]:
    for variable in [each for each in os.environ if each.startswith("AWS_")]:
        monkeypatch.delenv(variable)
    directory = tmp_path / "server"
    directory.mkdir()
    with s3_server(directory, tls=request.param) as running:
        for variable, value in running.environment.items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        yield running


@pytest.fixture
def bench(server: S3Server, tmp_path: Path) -> Bucket:
    return Bucket(server, tmp_path / "state", "hosts/lab")


class TestS3(BackupConformance):
    """The suite, and what follows from a server between."""

    async def test_none_is_replaced_and_ones_own_is_known_again(
        self, bench: Bucket, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def nothing_yet(*_: object, **__: object) -> AsyncIterator[list[object]]:
            return no_pages()

        async def no_pages() -> AsyncIterator[list[object]]:
            for page in ():
                yield page

        target = bench.target()
        await take(target, database, at(1))
        kept = bench.lies()
        monkeypatch.setattr(obstore, "list", nothing_yet)  # as when it was listed before that came
        await take(target, database, at(1))  # as if the first answer had been lost
        other = BackupMark(store_id=STORE, taken_at="later", agent_version="another")
        with pytest.raises(BackupFailedError, match="two agents"):
            await take(target, database, at(1), other)
        assert bench.lies() == kept

    async def test_where_listing_fails_a_backup_is_named_by_the_clock(
        self, bench: Bucket, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = bench.target(keep=1)
        await take(target, database, at(1))
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        refused = bench.target()
        assert isinstance(refused, BackupBucket)
        listed = obstore.list
        monkeypatch.setattr(obstore, "list", lambda _, **options: listed(refused.store, **options))
        await take(target, database, at(2))
        assert set(bench.lies()) == {name(1), name(2)}

    async def test_an_object_of_somebody_else_is_not_taken_for_a_backup(
        self, bench: Bucket, database: Path, tmp_path: Path
    ) -> None:
        del database
        bench.put(name(1), b"a store, as far as anybody knows")
        with pytest.raises(BackupFailedError, match="not what an agent kept"):
            await bench.target().fetch(name(1), tmp_path / "copy.db")
        assert not (tmp_path / "copy.db").exists()

    async def test_a_server_that_is_away_is_worth_another_try(
        self, bench: Bucket, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = bench.target()
        bench.server.stop()
        with pytest.raises(BackupFailedError) as raised:
            await take(target, database, at(1))
        assert raised.value.retryable
        bench.server.start()
        await take(target, database, at(2))
        assert list(bench.lies()) == [name(2)]
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        with pytest.raises(BackupFailedError, match="SignatureDoesNotMatch") as raised:
            await take(bench.target(), database, at(3))
        assert not raised.value.retryable
        assert "wrong" not in raised.value.message

    async def test_what_cannot_be_pruned_is_kept_all_the_same(
        self, bench: Bucket, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def refuses(*_: object) -> None:
            raise PermissionDeniedError("no deletions here")

        monkeypatch.setattr(obstore, "delete_async", refuses)
        target = bench.target(keep=1)
        for number in (1, 2):
            await take(target, database, at(number))
        assert await target.kept() == [name(1), name(2)]

    async def test_a_store_that_is_too_large_is_not_sent(
        self, bench: Bucket, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(s3, "MAX_OBJECT_BYTES", 1000)
        with pytest.raises(BackupFailedError, match="--backup-directory") as raised:
            await take(bench.target(), database, at(1))
        assert not raised.value.retryable

    async def test_credentials_come_from_a_file_and_are_read_anew(
        self, bench: Bucket, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        file = tmp_path / "credentials"
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
        monkeypatch.setenv("AWS_PROFILE", "backups")
        with pytest.raises(S3AccessError, match="cannot be read"):
            bench.target()
        file.write_text("[default]\naws_access_key_id = other\naws_secret_access_key = hidden-word\n")
        with pytest.raises(S3AccessError, match=r"below \[backups\]") as raised:
            bench.target()
        assert "hidden-word" not in raised.value.message
        file.write_text(f"[backups]\naws_access_key_id = {ACCESS}\naws_secret_access_key = {SECRET}\n")
        target = bench.target()
        await take(target, database, at(1))
        assert list(bench.lies()) == [name(1)]


async def test_the_commands_list_a_bucket_and_restore_its_newest(
    server: S3Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, paths = Bucket(server, tmp_path, "x"), StatePaths(tmp_path / "agent")
    paths.root.mkdir()
    store = await Store.open(paths.database, host=HOST, new_id=STORE)
    await store.close()
    for number in (1, 2):
        await take(bench.target(), paths.database, at(number))
    await agent_backups.run(place=bench.place, host=HOST, state_dir=tmp_path)
    assert capsys.readouterr().out.split() == [name(1), name(2)]
    fresh = tmp_path / "fresh"
    await agent_restore.run(backup=bench.place, host=HOST, state_dir=fresh)
    assert "restored 0 guests" in capsys.readouterr().out
    assert StatePaths(fresh).database.exists()
    assert not list(fresh.glob("restoring-*"))


async def test_plain_http_is_used_only_where_somebody_says_so(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ALLOW_HTTP", "false")
    target = Bucket(server, tmp_path, "x").target()
    if server.tls:
        assert await target.kept() == []
        monkeypatch.delenv("AWS_CA_BUNDLE")
        target = Bucket(server, tmp_path, "x").target()
    with pytest.raises(BackupFailedError):
        await target.kept()


async def test_a_server_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # the kernel accepts, nobody answers
        port = listener.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        places = Places(host=HOST, scratch=tmp_path, environment=os.environ, clock=SystemClock())
        found = places.bucket(f"s3://{BUCKET}")
        assert isinstance(found, BackupBucket)
        silent = BackupBucket(found.store, found.url, HOST, 1, call_s=0.5)
        with pytest.raises(BackupFailedError, match="no end within") as raised:
            await silent.kept()
        assert raised.value.retryable


@pytest.mark.parametrize(
    "url",
    ["s3://", "s3://b", "s3://UPPER/x", "https://bucket/x", "s3://user:pw@bucket/x", "s3://bucket/a//b"],
)
def test_a_url_that_is_none_is_refused(url: str, tmp_path: Path) -> None:
    places = Places(host=HOST, scratch=StatePaths(tmp_path).root, environment={}, clock=SystemClock())
    with pytest.raises(PlaceError, match="s3://BUCKET/PREFIX"):
        places.bucket(url)

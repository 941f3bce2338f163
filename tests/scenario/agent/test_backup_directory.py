"""A directory as a place for backups: the suite that every place must pass."""

import shutil
from pathlib import Path

import pytest

from innkeeper.agent.backup.directory import BackupDirectory
from innkeeper.agent.backup.targets import BackupTarget
from tests.kit.agent_orders import HOST
from tests.kit.backup_conformance import BackupConformance


class Directory:
    """A bench over a directory."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self._root = root
        self.place = str(root)

    def target(self, *, keep: int = 24) -> BackupTarget:
        return BackupDirectory(self._root, HOST, keep)

    def lies(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self._root.iterdir()}

    def put(self, name: str, content: bytes) -> None:
        (self._root / name).write_bytes(content)

    def close(self) -> None:
        shutil.rmtree(self._root)


class TestDirectory(BackupConformance):
    """The suite."""

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Directory:
        return Directory(tmp_path / "mounted")

"""Where versitygw lies once hack/s3-server has built it, and what it is built from."""

from pathlib import Path

from kit import paths
from kit.go_programs import GoProgram

SOURCE = GoProgram("versitygw", paths.SCRIPTS / "s3-server.d", "github.com/versity/versitygw/cmd/versitygw")


def directory() -> Path:
    """Return where it is built into."""
    return paths.cache_root() / "s3-server"


def program() -> Path:
    """Return where the program lies, there or not."""
    return directory() / SOURCE.name

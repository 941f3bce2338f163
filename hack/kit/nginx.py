"""Where Debian's nginx lies once hack/nginx has unpacked it: in the cache, never installed."""

from pathlib import Path

from kit import paths

PACKAGES = ("nginx",)


def program() -> Path:
    """Return where the program lies, there or not."""
    return paths.cache_root() / "nginx" / "usr" / "sbin" / "nginx"

"""A real nginx with a directory of its own, which serves another one; with ranges or without, open or by password."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kit import ports
from kit.nginx import program
from tests.kit.lab import until

_CONFIGURATION = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{
    listen 127.0.0.1:{port};
    root {root};
    {ranges}
    {password}
  }}
}}
"""


@contextmanager
def serving(
    root: Path, *, directory: Path, has_ranges: bool, password: tuple[str, str] | None = None
) -> Iterator[str]:
    """Serve a directory, to who shows a user's name and password where they are given; yield the URL."""
    assert program().exists(), "nginx is missing: run hack/nginx"
    (port,) = ports.choose(1, address="127.0.0.1")
    directory.mkdir(parents=True, exist_ok=True)
    ranges = "" if has_ranges else "max_ranges 0;"
    text = _CONFIGURATION.format(
        directory=directory, port=port, root=root, ranges=ranges, password=_password(directory, password)
    )
    (directory / "nginx.conf").write_text(text)
    words = [str(program()), "-p", str(directory), "-c", str(directory / "nginx.conf")]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: not ports.is_free(port, address="127.0.0.1"), what="nginx to listen", within_s=10)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def _password(directory: Path, pair: tuple[str, str] | None) -> str:
    if pair is None:
        return ""
    users = directory / "users"
    users.write_text(f"{pair[0]}:{{PLAIN}}{pair[1]}\n")
    return f'auth_basic "images"; auth_basic_user_file {users};'

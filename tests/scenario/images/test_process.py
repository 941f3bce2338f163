"""The image server as a process: what it listens on, what it tells about itself, and TLS."""

import asyncio
import datetime as dt
import json
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from innkeeper.clock import Clock, SystemClock
from innkeeper.images import process
from innkeeper.images.settings import ImagesSettings
from innkeeper.served_certificate import LOOK_EVERY_S
from tests.kit.clock import ManualClock
from tests.kit.waiting import eventually

NOBODY = "http://127.0.0.1:1"  # nothing listens on this port


@dataclass
class Running:
    """The ports of a running image server."""

    port: int
    metrics_port: int
    http: ClientSession


@asynccontextmanager
async def running(tmp_path: Path, *, clock: Clock | None = None, **given: Any) -> AsyncIterator[Running]:
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig()))
    settings = ImagesSettings(kubeconfig=tmp_path / "kubeconfig", port=0, metrics_port=0, **given)
    async with AsyncExitStack() as stack:
        started = await process.start(settings, stack, clock=clock or SystemClock())
        http = await stack.enter_async_context(ClientSession())
        yield Running(started.port, started.metrics_port, http)


def kubeconfig() -> dict[str, Any]:
    return {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": NOBODY}}],
        "users": [{"name": "x", "user": {"token": "made-up"}}],
    }


async def test_it_tells_about_itself(tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    async with running(tmp_path, directory=served) as server:
        base = f"http://127.0.0.1:{server.metrics_port}"
        async with server.http.get(f"{base}/readyz") as answer:
            assert answer.status == 200
        async with server.http.get(f"http://127.0.0.1:{server.port}/v1/nothing") as answer:
            assert answer.status == 404
        async with server.http.get(f"{base}/metrics") as answer:
            text = await answer.text()
        assert 'innkeeper_images_requests_total{code="404",handler="none"} 1.0' in text
        assert 'innkeeper_build_info{process="images"' in text
        served.rename(tmp_path / "away")
        async with server.http.get(f"{base}/readyz") as answer:
            assert answer.status == 503
            assert "mount it" in (await answer.text())


async def test_it_owns_its_store_while_it_runs(tmp_path: Path) -> None:
    """What a crash left is removed at the start; another process has to wait for the end."""
    store = tmp_path / "store"
    store.mkdir()
    (store / f"{'a' * 64}").write_bytes(bytes([1]) * 8192)
    (store / "left.partial").write_bytes(b"half")
    async with running(tmp_path, store_directory=store) as server:
        assert not (store / "left.partial").exists()
        base = f"http://127.0.0.1:{server.metrics_port}"
        async with server.http.get(f"{base}/metrics") as answer:
            assert "innkeeper_images_store_bytes 8192.0" in await answer.text()
        with pytest.raises(OSError, match="another image server uses this --store-directory"):
            async with running(tmp_path, store_directory=store):
                pass
        store.rename(tmp_path / "away")
        async with server.http.get(f"{base}/readyz") as answer:
            assert answer.status == 503
            assert "mount it" in (await answer.text())
    async with running(tmp_path, store_directory=tmp_path / "away"):
        pass


async def test_an_api_server_that_is_away_is_no_end(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        url = f"http://127.0.0.1:{server.port}/v1/urls"
        headers = {"Authorization": "Bearer some-token"}
        async with server.http.post(url, json={"guestId": "x"}, headers=headers) as answer:
            assert answer.status == 503


async def test_it_serves_https(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    trust = ssl.create_default_context(cafile=str(certificate))
    async with (
        running(tmp_path, tls_cert_file=certificate, tls_key_file=key) as server,
        server.http.get(f"https://127.0.0.1:{server.port}/v1/nothing", ssl=trust) as answer,
    ):
        assert answer.status == 404


async def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    """As cert-manager renews it: the files change under the process."""
    clock, (certificate, key) = ManualClock(), write_certificate(tmp_path)
    before = certificate.read_text()
    async with running(tmp_path, clock=clock, tls_cert_file=certificate, tls_key_file=key) as server:
        metrics = f"http://127.0.0.1:{server.metrics_port}/metrics"

        async def shown() -> str:
            return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", server.port))

        assert await shown() == before
        asleep = clock.sleepers
        write_certificate(tmp_path, days=90)
        renewed, good_key = certificate.read_text(), key.read_bytes()
        key.write_text("half of it")
        clock.advance(LOOK_EVERY_S)
        await eventually(lambda: clock.sleepers == asleep)
        assert await shown() == before, "what cannot be used changes nothing"
        key.write_bytes(good_key)
        clock.advance(LOOK_EVERY_S)
        await eventually(lambda: clock.sleepers == asleep)
        assert await shown() == renewed
        async with server.http.get(metrics) as answer:
            told = re.search(r'expiry_timestamp_seconds\{use="images"\} (\S+)', await answer.text())
        assert told
        assert float(told[1]) > (dt.datetime.now(dt.UTC) + dt.timedelta(days=80)).timestamp()


def write_certificate(directory: Path, *, days: float = 1) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "images.test")])
    now = dt.datetime.now(dt.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (directory / "tls.crt").write_bytes(certificate.public_bytes(pem))
    (directory / "tls.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return directory / "tls.crt", directory / "tls.key"


async def test_a_key_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        async with running(tmp_path, url_key_file=tmp_path / "nowhere"):
            pass

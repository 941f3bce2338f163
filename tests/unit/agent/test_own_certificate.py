"""The host API's own certificate: asked for, taken if it is good, asked for again in time; the operator's code signs."""

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kit.certificates import Authority

from innkeeper.agent.host_api.certificates import ServerTls, TlsFiles
from innkeeper.agent.host_api.own_certificate import OwnCertificate
from innkeeper.hosts.issuing import HostCertificates
from innkeeper.views.host import HostAgent, HostAgentSpec, HostAgentStatus, Network
from innkeeper.views.meta import Meta
from tests.kit.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    found = ManualClock()
    found.advance(timedelta(days=400).total_seconds())  # the authority was made today
    return found


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    found = Authority(tmp_path / "pki", name="hosts")
    found.ensure()
    return found


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> TlsFiles:
    place = tmp_path / "identity"
    return TlsFiles(certificate=place / "a.crt", key=place / "a.key", authority=authority.own.certificate)


@pytest.fixture
def own(files: TlsFiles, clock: ManualClock) -> OwnCertificate:
    return OwnCertificate("inn-a", files, clock=clock)


def signed(authority: Authority, clock: ManualClock, asked: str | None, *, host: str = "inn-a") -> str:
    signer = HostCertificates.load(authority=authority.own.certificate, key=authority.own.key, clock=clock)
    meta = Meta(name="host", namespace=f"host-{host}", uid="1", resource_version="1")
    spec = HostAgentSpec(cluster="lab", network=Network(bridge="br0"))
    agent = HostAgent(metadata=meta, spec=spec, status=HostAgentStatus(certificate_request=asked))
    made = signer.current(host, agent)
    assert made is not None
    return made


def test_it_asks_takes_what_it_gets_and_serves_with_it(
    own: OwnCertificate, files: TlsFiles, authority: Authority, clock: ManualClock
) -> None:
    own.look()
    asked = own.request()
    own.look()
    assert own.request() == asked, "the same request until it is answered"
    assert files.key.stat().st_mode & 0o777 == 0o600
    own.take(signed(authority, clock, asked))
    assert own.request() is None
    assert ServerTls(files).refresh(), "the listener can use them together"
    again = OwnCertificate("inn-a", files, clock=clock)
    again.look()
    assert again.request() is None, "after a restart it is still good"


def test_it_asks_again_after_two_thirds_and_keeps_the_old_one_meanwhile(
    own: OwnCertificate, files: TlsFiles, authority: Authority, clock: ManualClock
) -> None:
    own.look()
    own.take(signed(authority, clock, own.request()))
    old = files.certificate.read_text()
    clock.advance(timedelta(days=19).total_seconds())
    own.look()
    assert own.request() is None
    clock.advance(timedelta(days=2).total_seconds())
    own.look()
    asked = own.request()
    assert asked is not None
    own.take(old)
    assert own.request() == asked, "what it has already is no answer"
    assert files.certificate.read_text() == old
    own.take(signed(authority, clock, asked))
    assert own.request() is None
    assert files.certificate.read_text() != old


def test_what_is_not_for_this_host_is_not_taken(
    own: OwnCertificate, files: TlsFiles, authority: Authority, clock: ManualClock, tmp_path: Path
) -> None:
    """A wrong or evil operator: the authority that this host pins decides."""
    own.look()
    asked = own.request()
    stranger = Authority(tmp_path / "stranger", name="hosts")
    stranger.ensure()
    other = TlsFiles(certificate=tmp_path / "b.crt", key=tmp_path / "b.key", authority=files.authority)
    neighbour, twin = OwnCertificate("inn-b", other, clock=clock), OwnCertificate("inn-a", other, clock=clock)
    neighbour.look()
    twin.look()
    for pem in (
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        signed(stranger, clock, asked),
        signed(authority, clock, neighbour.request(), host="inn-b"),
        signed(authority, clock, twin.request()),
    ):
        own.take(pem)
        assert own.request() == asked
        assert not files.certificate.exists()
    own.take(signed(authority, clock, asked))
    assert own.request() is None


def test_what_was_signed_before_the_new_authority_is_here_is_taken_once_it_is(
    own: OwnCertificate, files: TlsFiles, clock: ManualClock, tmp_path: Path
) -> None:
    """The operator has nothing newer to offer for half a month: it stands by what it signed."""
    own.look()
    successor = Authority(tmp_path / "successor", name="hosts")
    successor.ensure()
    own.take(signed(successor, clock, own.request()))
    own.look()
    assert own.request() is not None
    files.authority.write_bytes(successor.own.certificate.read_bytes())
    own.look()
    assert own.request() is None
    assert ServerTls(files).refresh()


def test_a_key_that_is_lost_is_made_anew_with_a_new_request(
    own: OwnCertificate, files: TlsFiles, authority: Authority, clock: ManualClock
) -> None:
    own.look()
    own.take(signed(authority, clock, own.request()))
    files.key.unlink()
    own.look()
    asked = own.request()
    assert asked is not None
    files.key.unlink()
    own.look()
    assert own.request() not in {None, asked}, "also where it was lost before the answer"
    own.take(signed(authority, clock, own.request()))
    assert own.request() is None


def test_it_asks_anew_where_its_certificate_names_the_authority_otherwise_than_that_does(
    own: OwnCertificate, files: TlsFiles, authority: Authority, clock: ManualClock
) -> None:
    """As an older operator signed it: OpenSSL, with which hosts are asked, does not know such an issuer."""
    own.look()
    own.take(signed(authority, clock, own.request()))
    older = files.certificate.read_text()
    name_by_sha256(authority)
    own.look()
    asked = own.request()
    assert asked is not None
    own.take(older)
    assert (own.request(), files.certificate.read_text()) == (asked, older), "it serves with it meanwhile"
    own.take(signed(authority, clock, asked))
    assert own.request() is None
    own.look()
    assert own.request() is None
    assert files.certificate.read_text() != older


def name_by_sha256(authority: Authority) -> None:
    """Have the authority name its key as Helm does: its certificate is another, its key the same."""
    found = x509.load_pem_x509_certificate(authority.own.certificate.read_bytes())
    key = serialization.load_pem_private_key(authority.own.key.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    point = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    made = (
        x509.CertificateBuilder(
            issuer_name=found.issuer, subject_name=found.subject, public_key=key.public_key()
        )
        .serial_number(1)
        .not_valid_before(found.not_valid_before_utc)
        .not_valid_after(found.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(hashlib.sha256(point).digest()[:20]), critical=False)
        .sign(key, hashes.SHA256())
    )
    authority.own.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))

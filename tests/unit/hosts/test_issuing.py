"""Which requests for a host's certificate are signed, and which refused; what is signed is worth only what it should."""

import base64
import hashlib
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from kit.certificates import Authority
from structlog.testing import capture_logs

from innkeeper.hosts.issuing import AuthorityError, HostCertificates, RefusedRequestError, requested_key
from innkeeper.views.host import HostAgent, HostAgentSpec, HostAgentStatus, Network
from innkeeper.views.meta import Meta
from tests.kit.clock import ManualClock

KEY = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def request(
    host: str = "inn-a",
    *,
    name: str | None = None,
    alternative: Sequence[x509.GeneralName] | None = None,
    more: Sequence[x509.ExtensionType] = (),
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = KEY,
) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name or host)])
    )
    names = [x509.DNSName(host)] if alternative is None else list(alternative)
    extensions = [*([x509.SubjectAlternativeName(names)] if names else []), *more]
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def bent(old: bytes, new: bytes) -> str:
    """Return a request with some of its bytes changed, as who writes one by hand can."""
    der = x509.load_pem_x509_csr(request().encode()).public_bytes(serialization.Encoding.DER)
    assert old in der
    text = base64.b64encode(der.replace(old, new, 1)).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n"


def agent(asked: str | None, held: str | None = None) -> HostAgent:
    meta = Meta(name="host", namespace="host-inn-a", uid="1", resource_version="1")
    spec = HostAgentSpec(cluster="lab", network=Network(bridge="br0"), certificate=held)
    return HostAgent(metadata=meta, spec=spec, status=HostAgentStatus(certificate_request=asked))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    found = Authority(tmp_path_factory.mktemp("authority"), name="hosts")
    found.ensure()
    return found


@pytest.fixture
def clock() -> ManualClock:
    found = ManualClock()
    found.advance(timedelta(days=400).total_seconds())  # the authority was made today
    return found


@pytest.fixture
def certificates(authority: Authority, clock: ManualClock) -> HostCertificates:
    return HostCertificates.load(authority=authority.own.certificate, key=authority.own.key, clock=clock)


def test_what_is_signed_serves_in_this_name_for_a_month_and_nothing_else(
    certificates: HostCertificates, authority: Authority, clock: ManualClock
) -> None:
    pem = certificates.current("inn-a", agent(request()))
    assert pem is not None
    made = x509.load_pem_x509_certificate(pem.encode())
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.own.certificate.read_bytes()))
    assert made.public_key() == KEY.public_key()
    found = {each.oid: each.value for each in made.extensions}
    assert found[x509.SubjectAlternativeName.oid] == x509.SubjectAlternativeName([x509.DNSName("inn-a")])
    assert found[x509.ExtendedKeyUsage.oid] == x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    assert found[x509.BasicConstraints.oid] == x509.BasicConstraints(ca=False, path_length=None)
    assert made.not_valid_before_utc < clock.now() < made.not_valid_after_utc
    assert made.not_valid_after_utc - clock.now() == timedelta(days=30)
    assert len(pem) < 4096


def authority_of_helm(directory: Path, key: ec.EllipticCurvePrivateKey) -> Authority:
    """Make one that names its key by SHA-256, as Go does since 1.25, and Helm with it."""
    found, name = (
        Authority(directory, name="hosts"),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hosts")]),
    )
    found.ensure()
    point = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    made = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2046, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(hashlib.sha256(point).digest()[:20]), critical=False)
        .sign(key, hashes.SHA256())
    )
    found.own.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    found.own.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return found


def test_the_authority_is_named_as_it_names_itself(tmp_path: Path, clock: ManualClock) -> None:
    """OpenSSL, which asks hosts for the operator, knows no authority that is named otherwise."""
    helms = authority_of_helm(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    certificates = HostCertificates.load(authority=helms.own.certificate, key=helms.own.key, clock=clock)
    pem = certificates.current("inn-a", agent(request()))
    assert pem is not None
    (tmp_path / "host.crt").write_text(pem)
    at = ("-attime", str(int(clock.now().timestamp())))
    words = ("openssl", "verify", *at, "-CAfile", helms.own.certificate, tmp_path / "host.crt")
    checked = subprocess.run(words, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert certificates.current("inn-a", agent(request(), pem)) == pem


def test_a_certificate_that_names_its_authority_otherwise_is_signed_again(
    tmp_path: Path, clock: ManualClock
) -> None:
    """As those of an older operator do."""
    key = ec.generate_private_key(ec.SECP256R1())
    helms = authority_of_helm(tmp_path, key)
    certificates = HostCertificates.load(authority=helms.own.certificate, key=helms.own.key, clock=clock)
    other = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "inn-a")]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hosts")]))
        .public_key(KEY.public_key())
        .serial_number(2)
        .not_valid_before(clock.now() - timedelta(days=1))
        .not_valid_after(clock.now() + timedelta(days=29))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    held = other.public_bytes(serialization.Encoding.PEM).decode()
    assert certificates.current("inn-a", agent(request(), held)) not in (held, None)


def test_it_is_signed_once_and_again_when_it_is_asked_for_late(
    certificates: HostCertificates, clock: ManualClock
) -> None:
    asked = request()
    first = certificates.current("inn-a", agent(asked))
    assert certificates.current("inn-a", agent(asked, first)) == first, "no write follows from looking again"
    assert certificates.current("inn-a", agent(None, first)) == first, "nothing is asked for"
    clock.advance(timedelta(days=20).total_seconds())
    assert certificates.current("inn-a", agent(None, first)) == first
    second = certificates.current("inn-a", agent(asked, first))
    assert second != first
    other = ec.generate_private_key(ec.SECP256R1())
    assert certificates.current("inn-a", agent(request(key=other), second)) != second, "a key that is new"


def test_an_authority_that_ends_soon_is_not_signed_with_at_every_look(
    authority: Authority, clock: ManualClock
) -> None:
    certificates = HostCertificates.load(
        authority=authority.own.certificate, key=authority.own.key, clock=clock
    )
    asked = request()
    held = certificates.current("inn-a", agent(asked))
    end = x509.load_pem_x509_certificate(authority.own.certificate.read_bytes()).not_valid_after_utc
    clock.set_wall(end - timedelta(minutes=3))
    assert certificates.current("inn-a", agent(asked, held)) == held
    assert certificates.current("inn-a", agent(asked)) is None


@pytest.mark.parametrize(
    "asked",
    [
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        "nothing",
        request("inn-b"),
        request(name="inn-b"),
        request(name="innkeeper-operator"),
        request(alternative=[]),
        request(alternative=[x509.DNSName("inn-a"), x509.DNSName("inn-b")]),
        request(alternative=[x509.DNSName("*")]),
        request(alternative=[x509.RFC822Name("inn-a")]),
        request(more=[x509.BasicConstraints(ca=True, path_length=None)]),
        request(more=[x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])]),
        request(key=RSA),
        request(key=ec.generate_private_key(ec.SECP384R1())),
        request() + "x" * 5000,
        bent(bytes.fromhex("020100"), bytes.fromhex("020107")),  # a version that nobody knows
        bent(
            bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d027f")
        ),  # nor this kind of key
        bent(b"\x82\x05inn-a", b"\xa3\x05inn-a"),  # an X.400 address
    ],
)
def test_a_request_for_anything_else_is_refused_and_changes_nothing(
    certificates: HostCertificates, asked: str
) -> None:
    assert certificates.current("inn-a", agent(asked)) is None
    held = certificates.current("inn-a", agent(request()))
    assert certificates.current("inn-a", agent(asked, held)) == held
    with pytest.raises(RefusedRequestError):
        requested_key(asked, "inn-a")


def test_a_request_that_somebody_else_signed_is_refused() -> None:
    """The signature's last bytes are another's: the key in it was not there when it was signed."""
    lines = request().splitlines()
    middle = lines[-2]
    lines[-2] = ("A" if middle[0] != "A" else "B") + middle[1:]
    with pytest.raises(RefusedRequestError):
        requested_key("\n".join(lines) + "\n", "inn-a")


def test_an_authority_that_ended_signs_no_more_and_says_so_once(
    certificates: HostCertificates, authority: Authority, clock: ManualClock
) -> None:
    """A host that asks keeps what it has, so that its other orders still follow."""
    held = certificates.current("inn-a", agent(request()))
    end = x509.load_pem_x509_certificate(authority.own.certificate.read_bytes()).not_valid_after_utc
    clock.advance((end - clock.now()).total_seconds())
    with capture_logs() as logs:
        assert certificates.current("inn-a", agent(request(), held)) == held
        assert certificates.current("inn-b", agent(request("inn-b"))) is None
    assert [each["event"] for each in logs] == ["hosts_authority_over"]


def test_no_host_gets_the_operators_name() -> None:
    with pytest.raises(RefusedRequestError, match="the operator's own name"):
        requested_key(request("innkeeper-operator"), "innkeeper-operator")


def test_a_key_that_is_not_the_authoritys_is_refused_at_the_start(
    authority: Authority, tmp_path: Path, clock: ManualClock
) -> None:
    other = Authority(tmp_path, name="other")
    other.ensure()
    with pytest.raises(AuthorityError, match="is not the key of"):
        HostCertificates.load(authority=authority.own.certificate, key=other.own.key, clock=clock)
    with pytest.raises(AuthorityError, match="cannot be read"):
        HostCertificates.load(authority=authority.own.certificate, key=tmp_path / "none", clock=clock)

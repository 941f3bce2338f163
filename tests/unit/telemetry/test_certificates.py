"""When certificates end: of what is in use, and of what cannot be read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry

from innkeeper.telemetry.certificates import CertificateMetrics

END = datetime(2027, 1, 1, tzinfo=UTC)
NAME = "innkeeper_certificate_expiry_timestamp_seconds"


def certificate(end: datetime) -> bytes:
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")]),
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=900))
        .not_valid_after(end)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def test_the_certificate_that_ends_first_counts(tmp_path: Path) -> None:
    registry, file = CollectorRegistry(), tmp_path / "chain.pem"
    file.write_bytes(certificate(END + timedelta(days=1)) + certificate(END))
    CertificateMetrics(registry).follows("query", file)
    assert registry.get_sample_value(NAME, {"use": "query"}) == END.timestamp()


def test_a_renewed_file_counts_at_once(tmp_path: Path) -> None:
    registry, file = CollectorRegistry(), tmp_path / "tls.pem"
    file.write_bytes(certificate(END))
    CertificateMetrics(registry).follows("query", file)
    assert registry.get_sample_value(NAME, {"use": "query"}) == END.timestamp()
    renewed = tmp_path / "new.pem"
    renewed.write_bytes(certificate(END + timedelta(days=90)))
    renewed.replace(file)
    assert registry.get_sample_value(NAME, {"use": "query"}) == (END + timedelta(days=90)).timestamp()


def test_a_file_that_cannot_be_read_counts_as_ended(tmp_path: Path) -> None:
    registry, file = CollectorRegistry(), tmp_path / "tls.pem"
    metrics = CertificateMetrics(registry)
    metrics.follows("query", file)
    metrics.follows("hosts", None)
    assert registry.get_sample_value(NAME, {"use": "query"}) == 0
    assert registry.get_sample_value(NAME, {"use": "hosts"}) is None
    file.write_text("no certificate")
    assert registry.get_sample_value(NAME, {"use": "query"}) == 0

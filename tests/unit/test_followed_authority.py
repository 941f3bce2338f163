"""Whom a client trusts follows the file: what is taken out of it is trusted no more."""

import ssl
from pathlib import Path

import pytest
from kit.certificates import Authority
from structlog.testing import capture_logs

from innkeeper.followed_authority import FollowedAuthority


def authority(directory: Path, name: str) -> bytes:
    made = Authority(directory / name, name=name)
    made.ensure()
    return made.own.certificate.read_bytes()


def names(followed: FollowedAuthority) -> list[str]:
    return sorted(dict(each["subject"][0])["commonName"] for each in followed.context.get_ca_certs())


def test_a_changed_file_makes_a_new_context_without_what_was_taken_out(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    old, new = authority(tmp_path, "old"), authority(tmp_path, "new")
    file.write_bytes(old)
    followed = FollowedAuthority(file)
    assert names(followed) == ["old"]
    assert followed.context is followed.context, "connections are kept while nothing changes"
    file.write_bytes(old + new)
    assert names(followed) == ["new", "old"]
    file.write_bytes(new)
    assert names(followed) == ["new"]


@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_a_file_that_cannot_be_used_is_told_once_and_leaves_the_last_one(tmp_path: Path, how: str) -> None:
    file = tmp_path / "ca.crt"
    file.write_bytes(authority(tmp_path, "old"))
    followed = FollowedAuthority(file)
    if how == "damaged":
        file.write_text("half a certi")
    else:
        file.unlink()
    with capture_logs() as logs:
        assert names(followed) == ["old"]
        assert names(followed) == ["old"]
    assert [each["event"] for each in logs] == ["authority_not_read"]
    file.write_bytes(authority(tmp_path, "new"))
    assert names(followed) == ["new"]


def test_a_client_does_not_begin_without_its_authority(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FollowedAuthority(tmp_path / "ca.crt")
    (tmp_path / "ca.crt").write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        FollowedAuthority(tmp_path / "ca.crt")


def test_without_a_file_the_system_is_trusted() -> None:
    assert FollowedAuthority(None).context.verify_mode is ssl.CERT_REQUIRED

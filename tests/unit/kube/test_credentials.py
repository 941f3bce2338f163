"""Who we are to the API server, from the places where that usually stands."""

import base64
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from innkeeper.kube import credentials as module
from innkeeper.kube.credentials import Credentials, CredentialsError

PEM = "-----BEGIN CERTIFICATE-----\n"


def kubeconfig(folder: Path, user: dict[str, Any], **cluster: Any) -> Path:
    document = {
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "shop"}},
            {"name": "there", "context": {"cluster": "d", "user": "u"}},
        ],
        "clusters": [
            {"name": "c", "cluster": {"server": "https://c.test:6443/", **cluster}},
            {"name": "d", "cluster": {"server": "https://d.test:6443"}},
        ],
        "users": [{"name": "u", "user": user}],
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_context_names_server_identity_and_namespace(tmp_path: Path) -> None:
    data = base64.b64encode(PEM.encode()).decode()
    path = kubeconfig(
        tmp_path, {"token": "t"}, **{"certificate-authority-data": data, "tls-server-name": "api"}
    )
    found = Credentials.from_kubeconfig(path)
    assert (found.server, found.namespace, found.bearer()) == ("https://c.test:6443", "shop", "t")
    assert (found.ca_data, found.tls_server_name) == (PEM, "api")
    other = Credentials.from_kubeconfig(path, context="there")
    assert (other.server, other.namespace, other.ca_data) == ("https://d.test:6443", "default", None)


def test_files_are_named_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key", "token"):
        (tmp_path / f"{name}.file").write_text(name)
    user = {"client-certificate": "cert.file", "client-key": "key.file", "tokenFile": "token.file"}
    found = Credentials.from_kubeconfig(kubeconfig(tmp_path, user, **{"certificate-authority": "ca.file"}))
    assert (found.ca_data, found.client_certificate, found.client_key) == ("ca", "cert", "key")
    assert found.bearer() == "token"


@pytest.mark.parametrize("helper", ["exec", "auth-provider"])
def test_helper_programs_are_refused(tmp_path: Path, helper: str) -> None:
    path = kubeconfig(tmp_path, {helper: {"command": "steal"}})
    with pytest.raises(CredentialsError, match="use a token or a certificate"):
        Credentials.from_kubeconfig(path)


@pytest.mark.parametrize("text", ["", "[]", "current-context: x", "{", "contexts: 3\ncurrent-context: x"])
def test_a_kubeconfig_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(CredentialsError, match=str(path)):
        Credentials.from_kubeconfig(path)


def test_an_unknown_context_and_a_missing_file_are_told(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, {"token": "t"})
    with pytest.raises(CredentialsError):
        Credentials.from_kubeconfig(path, context="nowhere")
    with pytest.raises(CredentialsError, match="missing"):
        Credentials.from_kubeconfig(tmp_path / "missing")


def test_a_token_that_was_renewed_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")
    found = Credentials(server="https://c.test", token_file=file)
    assert found.bearer() == "old"
    file.write_text("new\n")
    os.utime(file, ns=(1, 1))
    assert found.bearer() == "new"


def test_a_token_that_was_refused_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    os.utime(file, ns=(1, 1))
    found = Credentials(server="https://c.test", token_file=file)
    assert found.bearer() == "old"
    file.write_text("new")
    os.utime(file, ns=(1, 1))  # the file system's clock is too coarse to tell
    found.forget()
    assert found.bearer() == "new"


def test_the_last_token_serves_while_its_file_is_away(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("kept")
    found = Credentials(server="https://c.test", token_file=file)
    assert found.bearer() == "kept"
    file.unlink()
    assert found.bearer() == "kept"
    with pytest.raises(CredentialsError) as refusal:
        Credentials(server="https://c.test", token_file=file).bearer()
    assert refusal.value.retryable


def test_a_pod_uses_its_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"token": "pod", "ca.crt": PEM, "namespace": "innkeeper-system\n"}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(module, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(CredentialsError, match="no pod"):
        Credentials.in_cluster()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    found = Credentials.load()
    assert (found.server, found.namespace) == ("https://[fd00::1]:443", "innkeeper-system")
    assert (found.bearer(), found.ca_data) == ("pod", PEM)


def test_the_named_kubeconfig_comes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "a", {"token": "environment"})))
    assert Credentials.load().bearer() == "environment"
    assert Credentials.load(kubeconfig(tmp_path / "b", {"token": "named"})).bearer() == "named"


def test_no_credentials_at_all_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(module, "SERVICE_ACCOUNT", tmp_path / "none")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(CredentialsError, match="--kubeconfig or KUBECONFIG"):
        Credentials.load()


@pytest.mark.parametrize("token", [b"a\nX-Remote-User: admin", "\u00e9t\u00e9".encode(), b"\xff\xfe"])
def test_a_token_that_no_header_carries_is_told(tmp_path: Path, token: bytes) -> None:
    (tmp_path / "token").write_bytes(token)
    found = Credentials(server="https://c.test", token_file=tmp_path / "token")
    with pytest.raises(CredentialsError) as refusal:
        found.bearer()
    assert refusal.value.retryable, "the next token may be a good one"


def test_a_user_in_the_servers_url_is_refused(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, {"token": "t"})
    path.write_text(path.read_text().replace("https://c.test", "https://me:secret@c.test"))
    with pytest.raises(CredentialsError, match="names a user") as refusal:
        Credentials.from_kubeconfig(path)
    assert "secret" not in refusal.value.message


def test_certificates_that_cannot_be_loaded_now_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "full"))
    found = Credentials(server="https://c.test", client_certificate="c", client_key="k")
    with pytest.raises(CredentialsError, match="cannot be loaded") as refusal:
        found.ssl_context()
    assert refusal.value.retryable


def test_secrets_do_not_show() -> None:
    found = Credentials(server="https://c.test", token="s3cr3t-token", client_key="s3cr3t-key")
    assert "s3cr3t" not in repr(found)


def test_a_broken_certificate_is_told() -> None:
    found = Credentials(server="https://c.test", ca_data="no certificate")
    with pytest.raises(CredentialsError, match=r"c\.test"):
        found.ssl_context()

"""Settings of the image server: what is refused, and which URL hosts are told."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from innkeeper.images.settings import ImagesSettings


def test_defaults_keep_to_this_machine() -> None:
    settings = ImagesSettings()
    assert settings.base_url == "http://127.0.0.1:8090"
    assert settings.directory is None
    assert settings.allow_http_host == []


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"listen": "::1", "port": 1}, "http://[::1]:1"),
        ({"public_url": "https://images.test/prefix/"}, "https://images.test/prefix"),
        ({"tls_cert_file": "c", "tls_key_file": "k"}, "https://127.0.0.1:8090"),
    ],
)
def test_the_url_that_hosts_are_told(given: dict[str, object], url: str) -> None:
    assert ImagesSettings.model_validate(given).base_url == url


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"directory": "/nowhere/at/all"}, "no directory"),
        ({"store_directory": "/nowhere/at/all"}, "no directory"),
        ({"tls_cert_file": "c"}, "go together"),
        ({"listen": "localhost"}, "localhost"),
        ({"port": 70000}, "65535"),
        ({"public_url": "images.test"}, "URL"),
        ({"url_lifetime_s": 0}, "10"),
    ],
)
def test_what_cannot_work_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ImagesSettings.model_validate(given)


def test_the_environment_fills_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INNKEEPER_IMAGES_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("INNKEEPER_IMAGES_ALLOW_HTTP_HOST", '["mirror.test"]')
    settings = ImagesSettings()
    assert settings.directory == tmp_path
    assert settings.allow_http_host == ["mirror.test"]

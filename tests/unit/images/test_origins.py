"""Where the image server lets itself be sent by a user's URL."""

from ipaddress import ip_network

import pytest

from innkeeper.domain.reasons import ImageReason
from innkeeper.images.sources.origins import CheckedResolver, OriginPolicy
from innkeeper.images.sources.source import SourceError

POLICY = OriginPolicy(
    listed_hosts=["mirror.test", "127.0.0.1"],
    listed_networks=[ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")],
)


@pytest.mark.parametrize(
    "url",
    [
        "https://cloud.test/debian.qcow2?token=x",
        "https://10.1.2.3/debian.raw",
        "https://[fd00:1::7]/debian.raw",
        "https://[2a00:1450::7]/debian.raw",
        "http://mirror.test:8080/debian.raw",
        "http://MIRROR.test/debian.raw",
        "http://127.0.0.1:1234/debian.raw",
    ],
)
def test_allowed(url: str) -> None:
    assert str(POLICY.checked(url).path).startswith("/debian")


@pytest.mark.parametrize(
    "url",
    [
        "http://cloud.test/debian.raw",
        "ftp://mirror.test/debian.raw",
        "file:///etc/passwd",
        "/etc/passwd",
        "https://user:secret@cloud.test/x",
        "https://localhost.test:99999/x",
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.2/x",
        "https://[::1]/x",
        "https://[::ffff:169.254.169.254]/x",
        "https://0.0.0.0/x",
        "https://10.2.0.1/x",
        "https://192.168.1.1/x",
        "https://100.64.0.1/x",
        "https://[fd00:2::1]/x",
        "https://[fe80::1]/x",
        "https://[64:ff9b:1::1]/x",
        "https://[64:ff9b::169.254.169.254]/x",
        "https://[2002:7f00:1::]/x",
        "https://224.0.0.1/x",
        "https://cloud.test/" + "x" * 3000,
        "",
    ],
)
def test_refused(url: str) -> None:
    with pytest.raises(SourceError) as caught:
        POLICY.checked(url)
    assert caught.value.reason == ImageReason.SOURCE_REFUSED
    assert not caught.value.retryable


def test_the_message_says_how_to_allow_http_and_hides_the_query() -> None:
    with pytest.raises(SourceError) as caught:
        POLICY.checked("http://cloud.test/x?signature=secret")
    assert "--allow-http-host cloud.test" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("name", ["localhost", "2130706433", "127.1", "0x7f.1", "0177.0.0.1"])
async def test_a_name_that_leads_to_this_machine_is_refused(name: str) -> None:
    resolver = CheckedResolver(POLICY)
    with pytest.raises(SourceError) as caught:
        await resolver.resolve(name, 443)
    assert caught.value.reason == ImageReason.SOURCE_REFUSED
    await resolver.close()

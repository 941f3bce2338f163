"""Where the image server lets itself be sent by a user's URL."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from socket import AF_INET
from typing import Any

import pytest

from innkeeper.domain.reasons import ImageReason
from innkeeper.images.sources.names import SystemNames
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
        "https://168.63.129.16/x",
        "https://[64:ff9b::168.63.129.16]/x",
        "https://[::ffff:192.0.0.192]/x",
        "https://192.0.0.192/x",
        "https://192.88.99.1/x",
        "https://[fec0::1]/x",
        "https://[::7f00:1]/x",
        "https://[3fff::1]/x",
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


@pytest.mark.parametrize(
    ("network", "url"),
    [("168.63.129.16/32", "https://168.63.129.16/x"), ("fec0::/10", "https://[fec0::1]/x")],
)
def test_an_admin_may_list_any_network(network: str, url: str) -> None:
    assert OriginPolicy(listed_networks=[ip_network(network)]).checked(url)


async def test_a_name_that_nobody_answers_for_is_left_and_holds_no_other_work() -> None:
    """The name server is silent: the threads that hash images and read directories do not wait for it."""
    answered = threading.Event()

    def hang(*_: object) -> list[tuple[Any, ...]]:
        answered.wait(60)
        return []

    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    resolver = CheckedResolver(POLICY, SystemNames(within_s=0.2, ask=hang))
    patient = SystemNames(within_s=60, ask=hang)
    try:
        with pytest.raises(SourceError, match=r"the address of slow\.test was not found within 0\.2 s"):
            await resolver.resolve("slow.test", 443)
        asked = asyncio.ensure_future(patient.addresses("x.test", 1, AF_INET))
        assert await asyncio.to_thread(lambda: not answered.is_set())
        assert not asked.done()
    finally:
        answered.set()
    assert await asked == []
    patient.close()
    await resolver.close()


@pytest.mark.parametrize("name", ["localhost", "2130706433", "127.1", "0x7f.1", "0177.0.0.1"])
async def test_a_name_that_leads_to_this_machine_is_refused(name: str) -> None:
    resolver = CheckedResolver(POLICY)
    with pytest.raises(SourceError) as caught:
        await resolver.resolve(name, 443)
    assert caught.value.reason == ImageReason.SOURCE_REFUSED
    await resolver.close()

"""Where hosts are reached: what they report comes first, and a bad file leaves what was known."""

import os
from pathlib import Path

import pytest

from innkeeper.hosts.directory import HostDirectory, HostsFileError, host_and_port, read_hosts_file

GOOD = 'hosts: [{name: host-a, address: "10.0.0.1:9104"}, {name: host-b, address: "[2001:db8::1]:9104"}]'


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("10.0.0.1:9104", ("10.0.0.1", 9104)),
        ("[2001:db8::1]:9104", ("2001:db8::1", 9104)),
        ("host-a.example:1", ("host-a.example", 1)),
    ],
)
def test_an_address_is_a_host_and_a_port(address: str, place: tuple[str, int]) -> None:
    assert host_and_port(address) == place


@pytest.mark.parametrize(
    "address",
    ["", "a", "a:", ":1", "a:0", "a:65536", "a:-1", "a:٣", "a/b:1", "u@a:1", "a?x:1", "a b:1", "a:1:"],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="write host:port"):
        host_and_port(address)


def test_what_an_agent_reports_comes_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "hosts.yaml"
    file.write_text(GOOD)
    directory = HostDirectory({"host-a": "10.9.9.9:1"}.get, file=file)
    directory.read()
    assert directory.address_of("host-a") == "10.9.9.9:1"
    assert directory.address_of("host-b") == "[2001:db8::1]:9104"
    assert directory.address_of("host-c") is None
    assert directory.listed() == {"host-a", "host-b"}


@pytest.mark.parametrize(
    "content",
    ["", "hosts: 7", "hosts: [{name: a}]", "hosts: [{name: a, address: here}]", "[", "hosts: []\nmore: 1"],
)
def test_a_bad_file_says_what_a_good_one_looks_like(tmp_path: Path, content: str) -> None:
    file = tmp_path / "hosts.yaml"
    file.write_text(content)
    with pytest.raises(HostsFileError, match="it looks like hosts:"):
        read_hosts_file(file)


def test_a_file_that_changes_is_read_again_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "hosts.yaml"
    file.write_text(GOOD)
    directory = HostDirectory(lambda _: None, file=file)
    directory.read()
    for number, (content, known) in enumerate(
        [("hosts: nothing", {"host-a", "host-b"}), ('hosts: [{name: c, address: "c:1"}]', {"c"})], start=1
    ):
        file.write_text(content)
        os.utime(file, ns=(0, number))
        directory.read()
        assert directory.listed() == known
    file.unlink()
    directory.read()
    assert directory.listed() == {"c"}

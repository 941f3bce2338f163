"""The seed: what cloud-init finds, whatever users write, and the volume that carries it."""

import contextlib
import json
import shutil
import struct
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.agent.build.ports import Seed
from innkeeper.agent.imaging import iso9660, seed
from innkeeper.domain.orders import OrderAddress

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJmnw user@home"
V4 = OrderAddress(
    interface="eth0",
    address="10.0.0.7",
    prefix_length=24,
    mac="02:00:00:00:00:07",
    gateway="10.0.0.1",
    dns=["10.0.0.1", "10.0.0.2"],
)
V6 = OrderAddress(
    interface="eth0",
    address="fd00::7",
    prefix_length=64,
    mac="02:00:00:00:00:07",
    gateway="fd00::1",
    dns=["10.0.0.1"],
)


def a_seed(
    *,
    user_data: bytes | None = None,
    keys: tuple[str, ...] = (KEY,),
    hostname: str = "web-1",
    addresses: tuple[OrderAddress, ...] = (V4,),
) -> Seed:
    return Seed(guest_id="g-1", hostname=hostname, ssh_keys=keys, user_data=user_data, addresses=addresses)


def read(volume: bytes, *, joliet: bool = True) -> dict[str, bytes]:
    """Read the root directory as a reader of the standard does."""
    descriptor = volume[(17 if joliet else 16) * 2048 :][:2048]
    assert descriptor[1:6] == b"CD001"
    sector, length = struct.unpack("<I4xI", descriptor[158:170])
    records, files = volume[sector * 2048 :][:length], {}
    while records and records[0]:
        record, records = records[: records[0]], records[records[0] :]
        start, size = struct.unpack("<I4xI", record[2:14])
        name = record[33 : 33 + record[32]]
        if not record[25] & 2:
            text = name.decode("utf-16-be" if joliet else "ascii")
            files[text.removesuffix(";1")] = volume[start * 2048 :][:size]
    return files


def test_the_seed_names_the_guest_and_carries_the_keys() -> None:
    files = read(seed.seed_volume(a_seed()))
    assert json.loads(files["meta-data"]) == {
        "instance-id": "g-1",
        "local-hostname": "web-1",
        "public-keys": [KEY],
    }
    assert files["user-data"].startswith(b"#cloud-config\n")


def test_the_network_is_static_and_known_by_its_mac() -> None:
    network = json.loads(read(seed.seed_volume(a_seed()))["network-config"])
    assert network == {
        "version": 2,
        "ethernets": {
            "eth0": {
                "match": {"macaddress": "02:00:00:00:00:07"},
                "dhcp4": False,
                "dhcp6": False,
                "accept-ra": False,
                "set-name": "eth0",
                "addresses": ["10.0.0.7/24"],
                "routes": [{"to": "0.0.0.0/0", "via": "10.0.0.1"}],
                "nameservers": {"addresses": ["10.0.0.1", "10.0.0.2"]},
            }
        },
    }


def test_two_addresses_share_one_interface() -> None:
    card = seed.network_config([V4, V6])["ethernets"]["eth0"]
    assert card["addresses"] == ["10.0.0.7/24", "fd00::7/64"]
    assert card["routes"] == [{"to": "0.0.0.0/0", "via": "10.0.0.1"}, {"to": "::/0", "via": "fd00::1"}]
    assert card["nameservers"] == {"addresses": ["10.0.0.1", "10.0.0.2"]}


@pytest.mark.parametrize(
    "user_data", [b"#!/bin/sh\necho hi\n", b"\x1f\x8b\x08\0binary", b"#cloud-config\nx: [\n"]
)
def test_user_data_goes_in_as_it_is(user_data: bytes) -> None:
    assert read(seed.seed_volume(a_seed(user_data=user_data)))["user-data"] == user_data


@given(st.text(max_size=200), st.lists(st.text(max_size=200), max_size=5))
def test_no_text_changes_the_structure(hostname: str, keys: list[str]) -> None:
    meta = json.loads(read(seed.seed_volume(a_seed(hostname=hostname, keys=tuple(keys))))["meta-data"])
    assert meta == {"instance-id": "g-1", "local-hostname": hostname, "public-keys": keys}


@given(st.text(max_size=200), st.lists(st.text(max_size=200), min_size=1, max_size=3))
def test_no_text_in_an_address_changes_the_structure(text: str, servers: list[str]) -> None:
    """What an order calls an address is a text like others until the guest reads it."""
    odd = msgspec.structs.replace(V4, interface=text, address=text, mac=text, gateway=text, dns=servers)
    made = seed.seed_volume(a_seed(addresses=(odd,)))
    network = json.loads(read(made)["network-config"])
    [(name, card)] = network.pop("ethernets").items()
    assert (network, name) == ({"version": 2}, text)
    assert card["match"] == {"macaddress": text}
    assert card["addresses"] == [f"{text}/24"]
    assert [each["via"] for each in card["routes"]] == [text]
    assert card["nameservers"] == {"addresses": list(dict.fromkeys(servers))}


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert seed.seed_volume(a_seed()) == seed.seed_volume(a_seed())


def test_write_replaces_whole_and_shows_secrets_to_nobody(tmp_path: Path) -> None:
    target = tmp_path / "seed.iso"
    (tmp_path / "seed.iso.partial").write_bytes(b"of an attempt that was killed")
    for user_data in (b"#!/bin/sh\n", b"#!/bin/bash\n"):
        seed.write(a_seed(user_data=user_data), target)
        assert read(target.read_bytes())["user-data"] == user_data
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [target]


@given(
    st.dictionaries(st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True), st.binary(max_size=5000), max_size=8)
)
def test_both_directories_name_all_files(files: dict[str, bytes]) -> None:
    volume = iso9660.volume("cidata", files)
    assert read(volume) == files
    assert read(volume, joliet=False) == {name.upper(): content for name, content in files.items()}
    assert len(volume) == 2048 * struct.unpack("<I", volume[16 * 2048 + 80 :][:4])[0]


def test_too_many_names_are_refused() -> None:
    with pytest.raises(ValueError, match="one sector"):
        iso9660.volume("cidata", {f"file-number-{n}": b"" for n in range(50)})


def test_readers_of_others_agree(tmp_path: Path) -> None:
    if shutil.which("isoinfo") is None:
        pytest.skip("isoinfo, an optional second reader (Debian: genisoimage), is not installed")
    path = tmp_path / "seed.iso"
    seed.write(a_seed(), path)
    shown = subprocess.run(
        ["isoinfo", "-J", "-i", str(path), "-x", "/meta-data;1"], check=True, capture_output=True
    ).stdout
    assert json.loads(shown)["local-hostname"] == "web-1"
    about = subprocess.run(
        ["isoinfo", "-d", "-i", str(path)], check=True, capture_output=True, text=True
    ).stdout
    assert "Volume id: cidata" in about
    assert "Joliet with UCS level 3 found" in about


def test_user_data_is_read_back(tmp_path: Path) -> None:
    target = tmp_path / "seed.iso"
    seed.write(a_seed(user_data=b"#!/bin/sh\n" * 900), target)
    assert seed.user_data_in(target) == b"#!/bin/sh\n" * 900


@pytest.mark.parametrize("left", [0, 100, 24 * 2048, 25 * 2048, -2048])
def test_a_damaged_seed_has_no_user_data(tmp_path: Path, left: int) -> None:
    target = tmp_path / "seed.iso"
    assert seed.user_data_in(target) is None
    seed.write(a_seed(user_data=b"#!/bin/sh\n" * 900), target)
    target.write_bytes(target.read_bytes()[:left])
    assert seed.user_data_in(target) is None


@given(st.binary(max_size=4096))
def test_noise_in_a_directory_is_no_volume(noise: bytes) -> None:
    made = bytearray(seed.seed_volume(a_seed(user_data=b"x")))
    made[24 * 2048 : 24 * 2048 + len(noise)] = noise
    with contextlib.suppress(ValueError, LookupError, struct.error):
        iso9660.files(bytes(made))

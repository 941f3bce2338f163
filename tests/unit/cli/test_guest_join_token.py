"""join-token as a process: the line is one that `innkeeper agent join` takes, and nothing secret gets into it."""

import base64
import subprocess
from pathlib import Path

import pytest

from innkeeper.agent.joining import string
from innkeeper.agent.trust import encode_keys
from innkeeper.api.v1alpha1.host import HostSpec
from innkeeper.cli.guest.exit_codes import ExitCode
from tests.kit.account_tokens import token
from tests.kit.agent_orders import KEYS
from tests.kit.fake_kubectl import FakeKubectl

HOST = "/apis/innkeeper.dev/v1alpha1/hosts/inn-a"
AGENT = "/apis/innkeeper.dev/v1alpha1/namespaces/host-inn-a/hostagents/host"
AUTHORITY = base64.b64encode(b"authority").decode()
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
BARE = "import sys; sys.modules.update(dict.fromkeys(('msgspec', 'pydantic_settings', 'innkeeper.agent')))\n"


@pytest.fixture
def kubectl(tmp_path: Path) -> FakeKubectl:
    made = FakeKubectl(tmp_path)
    made.install()
    made.lay(HOST, {"spec": {"cluster": "lab"}})
    keys = [{"id": key, "publicKey": value} for key, value in encode_keys(KEYS).items()]
    made.lay(AGENT, {"spec": {"orderKeys": keys}})
    made.lay_created({"status": {"token": token()}})
    made.lay_cluster({"server": "https://api:6443", "certificate-authority-data": AUTHORITY})
    return made


def test_the_line_is_one_that_a_host_takes(kubectl: FakeKubectl) -> None:
    ca = kubectl.home / "ca.crt"
    ca.write_text(CERTIFICATE)
    done = kubectl.run("join-token", "inn-a", "--server=https://outside:443", f"--hosts-ca-file={ca}")
    assert done.returncode == 0, done.stderr
    given = string.decode(done.stdout)
    assert (given.host, given.server, given.ca_data) == ("inn-a", "https://outside:443", AUTHORITY)
    assert (given.hosts_ca, given.order_keys) == (CERTIFICATE, encode_keys(KEYS))
    assert given.token.get_secret_value() == token()
    assert "within 15 minutes" in done.stderr


def test_it_needs_no_library_that_its_archive_does_not_ship(kubectl: FakeKubectl) -> None:
    python, option, program, *_ = kubectl.command()
    done = subprocess.run(
        [python, option, BARE + program, "join-token", "inn-a"],
        env=kubectl.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert string.decode(done.stdout).server == "https://api:6443"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        ("no PEM", "no certificate alone"),
        (f"{CERTIFICATE}-----BEGIN PRIVATE KEY-----\nMIIE\n", "no certificate alone"),
        (CERTIFICATE * 2000, "no certificate alone"),
    ],
)
def test_what_is_no_authority_is_never_carried_to_a_host(
    kubectl: FakeKubectl, content: str | None, told: str
) -> None:
    file = kubectl.home / "ca.crt"
    if content is not None:
        file.write_text(content)
    done = kubectl.run("join-token", "inn-a", f"--hosts-ca-file={file}")
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert told in " ".join(done.stderr.replace("\u2502", " ").split())


@pytest.mark.parametrize("server", ["api:6443", "file:///etc/passwd", "https://a b"])
def test_a_server_that_is_no_url_is_told_before_anything_is_made(kubectl: FakeKubectl, server: str) -> None:
    done = kubectl.run("join-token", "inn-a", f"--server={server}")
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert "is no URL" in done.stderr
    assert not (kubectl.home / "calls").exists()


@pytest.mark.parametrize(("ttl", "told"), [("1h", "within 60 minutes"), ("600", "within 10 minutes")])
def test_how_long_it_is_good_is_a_duration(kubectl: FakeKubectl, ttl: str, told: str) -> None:
    done = kubectl.run("join-token", "inn-a", f"--ttl={ttl}")
    assert (done.returncode, told in done.stderr) == (0, True), done.stderr


@pytest.mark.parametrize("ttl", ["9m", "25h", "soon"])
def test_what_no_token_may_last_is_told(kubectl: FakeKubectl, ttl: str) -> None:
    done = kubectl.run("join-token", "inn-a", f"--ttl={ttl}")
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")


def test_a_host_that_nobody_made_gets_no_line(kubectl: FakeKubectl) -> None:
    kubectl.lay(HOST, None)
    done = kubectl.run("join-token", "inn-a")
    assert (done.returncode, done.stdout) == (ExitCode.FAILED, "")
    assert "there is no Host inn-a: apply one first" in done.stderr


def test_a_lost_host_gets_no_line_and_the_advice_that_the_api_takes(kubectl: FakeKubectl) -> None:
    kubectl.lay(HOST, {"spec": {"cluster": "lab", "lost": "burnt down"}})
    done = kubectl.run("join-token", "inn-a")
    assert (done.returncode, done.stdout) == (ExitCode.FAILED, "")
    [refusal] = [each.message for each in HostSpec.rules if each.field_path == ".lost"]
    advice = refusal.rpartition("; ")[2]
    assert advice in done.stderr
    assert "register it anew" in advice

"""Joining: who the agent is, and whom it trusts."""

import base64
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from innkeeper.agent.join_file import JoinFileError, read_join_file
from innkeeper.agent.joining import node
from innkeeper.agent.process import identity_of
from innkeeper.agent.settings import AgentSettings
from innkeeper.kube.credentials import Credentials
from tests.kit.agent_orders import KEYS, SIGNER

PUBLIC = base64.b64encode(SIGNER.public_key).decode()


def join_file(directory: Path, **changes: object) -> Path:
    document = {
        "host": "inn-a",
        "server": "https://api:6443",
        "caData": base64.b64encode(b"authority").decode(),
        "tokenFile": "token",
        "orderKeys": {SIGNER.key_id: PUBLIC},
        **changes,
    }
    path = directory / "join.json"
    path.write_text(json.dumps(document))
    return path


def test_a_join_file_says_everything(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    host, keys, credentials = identity_of(AgentSettings(join_file=join_file(tmp_path)))
    assert (host, keys) == ("inn-a", KEYS)
    assert (credentials.server, credentials.ca_data) == ("https://api:6443", "authority")
    assert credentials.bearer() == "secret"


@pytest.mark.parametrize(
    "changes",
    [
        {"orderKeys": {}},
        {"orderKeys": {"0" * 16: PUBLIC}},
        {"orderKeys": {SIGNER.key_id: "AAAA"}},
        {"host": "Not A Host"},
        {"host": "h" * 59},
        {"server": "api:6443"},
    ],
)
def test_a_join_file_that_cannot_be_right_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(JoinFileError):
        read_join_file(join_file(tmp_path, **changes))


def test_a_missing_join_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(JoinFileError, match="cannot be read"):
        read_join_file(tmp_path / "none.json")


def test_without_a_join_file_host_and_keys_are_needed(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="--join-file"):
        AgentSettings(host="inn-a")
    with pytest.raises(ValidationError, match="leave out"):
        AgentSettings(join_file=join_file(tmp_path), host="inn-a")


def test_a_key_file_pins_a_key(tmp_path: Path) -> None:
    key, kubeconfig = tmp_path / "key.pub", tmp_path / "config"
    key.write_text(PUBLIC + "\n")
    kubeconfig.write_text(
        json.dumps(
            {
                "current-context": "x",
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
                "clusters": [{"name": "x", "cluster": {"server": "https://api"}}],
                "users": [{"name": "x", "user": {"token": "t"}}],
            }
        )
    )
    settings = AgentSettings(host="inn-a", order_key_file=[key], kubeconfig=kubeconfig)
    assert identity_of(settings)[1] == KEYS


def in_a_pod(tmp_path: Path, **options: object) -> AgentSettings:
    key = tmp_path / "key.pub"
    key.write_text(PUBLIC)
    given = {"node_name": "node-a", "order_key_file": [key], "state_dir": tmp_path / "state", **options}
    return AgentSettings(**given)  # type: ignore[arg-type] # wrong ones on purpose


def test_a_pod_is_the_host_of_its_node_with_the_keys_of_mounted_files(tmp_path: Path) -> None:
    pod = Credentials(server="https://10.96.0.1:443", ca_data="authority", token_file=tmp_path / "pod.token")
    settings = node.write_identity(in_a_pod(tmp_path, host="node-a"), pod)
    host, keys, credentials = identity_of(settings)
    assert (host, keys) == ("node-a", KEYS)
    assert (credentials.server, credentials.ca_data) == ("https://10.96.0.1:443", "authority")
    assert credentials.token_file not in {None, tmp_path / "pod.token"}, "the host's token is another one"
    assert settings.join_file is not None
    assert settings.join_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"node_name": "node-a.example.org"}, "join this machine by a join token"),
        ({"node_name": "n" * 59}, "at most 58"),
        ({"host": "node-b"}, "leave out --host"),
        ({"order_key_file": []}, "goes with --order-key-file"),
        ({"join_file": Path("join.json")}, "without --join-file"),
    ],
)
def test_a_pod_that_cannot_be_a_host_is_refused(tmp_path: Path, options: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        in_a_pod(tmp_path, **options)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INNKEEPER_AGENT_JOIN_FILE", str(tmp_path / "join.json"))
    monkeypatch.setenv("INNKEEPER_AGENT_STATE_DIR", "/srv/innkeeper")
    found = AgentSettings()
    assert (found.join_file, found.state_dir) == (tmp_path / "join.json", Path("/srv/innkeeper"))


FILES = {"api_certificate_file": Path("a.crt"), "api_key_file": Path("a.key"), "api_ca_file": Path("ca.crt")}


def with_api(tmp_path: Path, **options: object) -> AgentSettings:
    return AgentSettings(join_file=join_file(tmp_path), **options)  # type: ignore[arg-type] # wrong ones on purpose


def test_without_certificates_no_host_api_is_served(tmp_path: Path) -> None:
    assert with_api(tmp_path, api_listen="0.0.0.0").api is None  # noqa: S104 - a listening address is the point


def test_the_host_api_listens_where_it_is_told(tmp_path: Path) -> None:
    found = with_api(tmp_path, api_listen="10.0.0.1", api_port=0, api_address="host-a:443", **FILES).api
    assert found is not None
    assert (found.listen, found.port, found.reported) == ("10.0.0.1", 0, "host-a:443")
    assert found.files.authority == Path("ca.crt")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"api_certificate_file": Path("a.crt")}, "go together"),
        ({**FILES, "api_ca_file": None}, "go together"),
        ({**FILES, "api_listen": "0.0.0.0"}, "add --api-address"),  # noqa: S104 - a listening address is the point
        ({**FILES, "api_listen": "::"}, "add --api-address"),
        ({**FILES, "api_listen": "host-a"}, "api_listen"),
        ({**FILES, "api_address": "https://host-a"}, "api_address"),
        ({**FILES, "api_address": "fd00::1"}, "api_address"),
        ({**FILES, "api_port": 70_000}, "api_port"),
    ],
)
def test_a_host_api_that_cannot_work_is_refused(tmp_path: Path, options: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        with_api(tmp_path, **options)


@pytest.mark.parametrize(
    "url", ["s3://b", "http://bucket/x", "s3://bucket/x?y", "s3://bucket/../x", "s3://bucket/a//b", "bucket"]
)
def test_backups_go_to_one_place_that_can_be_one(tmp_path: Path, url: str) -> None:
    join = tmp_path / "join.json"
    fits = AgentSettings(join_file=join, backup_url="s3://backups/hosts")
    assert fits.backup_url == "s3://backups/hosts"
    with pytest.raises(ValidationError, match="give one of them"):
        AgentSettings(join_file=join, backup_url="s3://backups/hosts", backup_directory=tmp_path)
    with pytest.raises(ValidationError, match="backup_url"):
        AgentSettings(join_file=join, backup_url=url)

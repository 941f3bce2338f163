"""A trial control plane, as far as it can be seen without running: its state, ports and command lines."""

import json
from pathlib import Path

import pytest
from kit import ports
from kit.control_plane import commands, state
from kit.control_plane.state import ControlPlane, Wishes
from kit.steps import StepError

ANY = "0.0.0.0"  # noqa: S104 - nothing listens here
PROGRAMS = {"etcd": "/x/etcd", "kube-apiserver": "/x/api", "kube-controller-manager": "/x/manager"}


@pytest.fixture(autouse=True)
def own_run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNKEEPER_RUN", str(tmp_path))


def plane(**wishes: object) -> ControlPlane:
    return ControlPlane(
        name="trial",
        wishes=Wishes(**wishes),  # type: ignore[arg-type]  # each test names the few that it is about
        port=20001,
        etcd_port=20002,
        etcd_peer_port=20003,
        programs=PROGRAMS,
    )


def test_what_is_saved_is_loaded_again() -> None:
    saved = plane(sans=("a.example", "192.0.2.1"), audit_log="/a/log", port=20001)
    saved.save()
    assert state.load("trial") == saved


def test_the_state_names_what_other_scripts_need() -> None:
    plane().save()
    known = json.loads((state.directory_of("trial") / "state.json").read_text())
    assert known["url"] == "https://127.0.0.1:20001"
    assert known["kubeconfig"] == str(state.directory_of("trial").with_name("kubeconfig"))
    assert {"ca_certificate", "ca_key", "logs", "pid_files"} <= known.keys()


def test_no_state_means_no_control_plane() -> None:
    assert state.load("absent") is None


@pytest.mark.parametrize(
    ("wishes", "url"),
    [
        ({"listen": ANY}, "https://127.0.0.1:20001"),
        ({"listen": ANY, "advertise": "192.0.2.7"}, "https://192.0.2.7:20001"),
        ({"listen": "192.0.2.7"}, "https://192.0.2.7:20001"),
        ({"listen": "::1"}, "https://[::1]:20001"),
    ],
)
def test_clients_are_sent_to_an_address_that_they_can_reach(wishes: dict[str, str], url: str) -> None:
    assert plane(**wishes).url == url


def test_an_address_for_others_is_published_and_loopback_is_not() -> None:
    assert "--endpoint-reconciler-type=none" in commands.api_server(plane())
    assert "--endpoint-reconciler-type=none" not in commands.api_server(plane(advertise="192.0.2.7"))


def test_etcd_serves_loopback_and_one_client_only() -> None:
    command = commands.etcd(plane())
    assert "--listen-client-urls=https://127.0.0.1:20002" in command
    assert "--client-cert-auth" in command


def test_only_the_api_server_may_speak_for_users() -> None:
    """Whoever is signed by that authority names any user, so it must not be the one that signs clients."""
    words = dict(word.partition("=")[::2] for word in commands.api_server(plane()) if word.startswith("--"))
    assert words["--requestheader-client-ca-file"] != words["--client-ca-file"]
    assert words["--requestheader-allowed-names"] == "front-proxy-client"
    assert words["--enable-aggregator-routing"] == "true"


def test_writes_are_recorded_only_when_asked_for() -> None:
    assert not [word for word in commands.api_server(plane()) if "audit" in word]
    assert "--audit-log-path=/a/log" in commands.api_server(plane(audit_log="/a/log"))


@pytest.mark.parametrize("name", ["", "UP", "a/b", "..", "-a", "a-", "a" * 41])
def test_a_name_that_is_no_directory_name_is_refused(name: str) -> None:
    with pytest.raises(StepError, match="cannot be used"):
        state.directory_of(name)


def test_ports_differ_and_are_free() -> None:
    chosen = ports.choose(5, address="127.0.0.1")
    assert len(set(chosen)) == 5
    assert all(ports.is_free(port, address="127.0.0.1") for port in chosen)

"""What `kubectl guest create` makes of its options: the golden files are what a person would write by hand."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from innkeeper.api.v1alpha1.guest import Guest
from innkeeper.cli.guest.asking import Kubectl
from innkeeper.cli.guest.commands import app

GOLDEN = Path(__file__).parent / "guest_manifest"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBhSM3XPyg8Jx2b7k5Jj0m0tQp1u0l6yD2dY4a5Tn0nQ you@example.org"
CASES = {
    "least": ["--image=debian-12", "--flavor=small", "--pool=lab"],
    "common": [
        "--image=images/debian-12",
        "--cpu=2",
        "--memory=2Gi",
        "--disk=20Gi",
        "--pool=lab",
        "--pool=storage",
        "--ssh-key-file=KEYS",
        "--user-data=USER_DATA",
        "-l",
        "app=web,tier=front",
        "--annotation=example.org/owner=me",
        "--annotation=example.org/note=first, second = last",
        "--host-selector=disk=ssd",
        "--ready-when=tcp:22",
    ],
    "all": [
        "--image=debian-12",
        "--flavor=small",
        "--interface=name=lan,mac=02:00:00:00:00:01,pool=v4,address=10.0.0.5,pool=v6",
        "--pool=lab",
        f"--ssh-key={KEY}",
        "--user-data-secret=cloud",
        "--power=Stopped",
        "--restart-policy=Never",
        "--storage=Copy",
        "--priority=-5",
        "--hostname=www",
        "--cluster=lab",
        "--toleration=gpu",
        "--toleration=team=red:NoSchedule",
        "--ready-when=guest-agent",
    ],
    "placed": [
        "--image=debian-12",
        "--flavor=small",
        "--pool=lab",
        "--label=app=web,tier=front",
        "--cluster-selector=site in (b, a)",
        "--host-selector=disk=ssd,rack notin (1,2),!old",
        "--host-selector=gpu,vendor!=x",
        "--host-selector=disk=nvme",
        "--affinity=app=cache@example.com/rack:50",
        "--affinity=app in (db, queue)@innkeeper.dev/cluster",
        "--anti-affinity=app=web",
        "--spread-over=example.com/rack",
        "--spread-over=example.com/room=2:ScheduleAnyway",
    ],
}


def made(words: list[str], directory: Path) -> str:
    """Return what a dry run prints."""
    keys, user_data = directory / "keys.pub", directory / "user-data"
    keys.write_text(f"# mine\n{KEY}\n\n")
    user_data.write_text("#cloud-config\npackages: [nginx]\n")
    words = [each.replace("KEYS", str(keys)).replace("USER_DATA", str(user_data)) for each in words]
    whole = ["-n", "shop", "create", "web", "--dry-run=client", "-o", "yaml", *words]
    done = CliRunner().invoke(app, whole, obj=Kubectl())
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("case", CASES)
def test_options_make_the_manifest_that_a_person_would_write(case: str, tmp_path: Path) -> None:
    text = made(CASES[case], tmp_path)
    golden = GOLDEN / f"{case}.yaml"
    assert yaml.safe_load(text) == yaml.safe_load(golden.read_text()), text
    document: dict[str, Any] = yaml.safe_load(text)
    Guest.model_validate(
        {"metadata": document["metadata"], "spec": document["spec"]}
    )  # the schema takes it, too


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--interface=pool=b", "--pool=a", "--pool=c"], ["eth0", "eth1", "eth2"]),
        (["--interface=name=eth1,pool=b", "--pool=a"], ["eth1", "eth2"]),
        (["--interface=name=eth2,pool=b", "--pool=a", "--pool=c"], ["eth2", "eth1", "eth3"]),
        (["--interface=name=eth1,pool=b", "--interface=pool=c", "--pool=a"], ["eth1", "eth2", "eth3"]),
        (["--interface=pool=b", "--interface=name=eth0,pool=c"], ["eth1", "eth0"]),
    ],
)
def test_no_interface_gets_the_name_that_another_was_given(
    words: list[str], names: list[str], tmp_path: Path
) -> None:
    document = yaml.safe_load(made(["--image=debian-12", "--flavor=small", *words], tmp_path))
    assert [each["name"] for each in document["spec"]["interfaces"]] == names


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--pool=lab"], "--cpu, --memory and --disk"),
        (["--flavor=small", "--cpu=1", "--pool=lab"], "give --flavor, or"),
        (["--cpu=1", "--pool=lab"], "all of --cpu"),
        (["--flavor=small"], "--pool"),
        (["--flavor=small", "--interface=name=eth0"], "names no pool"),
        (["--flavor=small", "--interface=address=10.0.0.1,pool=a"], "before it"),
        (["--flavor=small", "--interface=vlan=7"], "an interface is"),
        (["--flavor=small", "--interface=name=lan,pool=a", "--interface=name=lan,pool=b"], "named 'lan'"),
        (["--flavor=small", "--interface=name=eth0,name=eth1,pool=a"], "an interface has one name"),
        (["--flavor=small", "--interface=mac=02:00:00:00:00:01,pool=a,mac=02:00:00:00:00:02"], "one mac"),
        (["--flavor=small", "--pool=lab", "-l", "app"], "KEY=VALUE"),
        (["--flavor=small", "--pool=lab", "--toleration=a:NoExecute"], "NoSchedule"),
        (["--flavor=small", "--pool=lab", "--toleration==x"], "no key"),
        (["--flavor=small", "--pool=lab", "--host-selector=disk=a b"], "--host-selector cannot be read"),
        (["--flavor=small", "--pool=lab", "--host-selector= "], "--host-selector selects everything"),
        (["--flavor=small", "--pool=lab", "--cluster-selector=a in b"], "--cluster-selector cannot be read"),
        (["--flavor=small", "--pool=lab", "--affinity=app=web@"], "SELECTOR[@KEY][:WEIGHT]"),
        (["--flavor=small", "--pool=lab", "--anti-affinity=app=web:much"], "--anti-affinity"),
        (["--flavor=small", "--pool=lab", "--anti-affinity=@example.com/rack"], "selects everything"),
        (["--flavor=small", "--pool=lab", "-l", "a=b", "--spread-over=k=x"], "KEY[=MAX_SKEW]"),
        (["--flavor=small", "--pool=lab", "-l", "a=b", "--spread-over=k:Never"], "ScheduleAnyway"),
        (["--flavor=small", "--pool=lab", "--spread-over=example.com/rack"], "give it a --label"),
        (["--flavor=small", "--pool=lab", "--ready-when=http"], "ping, guest-agent or tcp:PORT"),
        (["--flavor=small", "--pool=lab", "--ssh-key-file=/none"], "cannot be read"),
        (["--flavor=small", "--pool=lab", "--ssh-key-file=/dev/null"], "no public key"),
        (["--flavor=small", "--pool=lab", "--user-data=/dev/null", "--user-data-secret=s"], "--user-data or"),
        (
            ["--flavor=small", "--pool=lab", "--user-data=/dev/null"],
            "user data, or the name of its Secret, is",
        ),
        (["--flavor=small", "--pool=lab", "--user-data-secret="], "user data, or the name of its Secret, is"),
        (["--flavor=small", "--pool=lab", "--ssh-key="], "--ssh-key is empty"),
        (["--flavor=small", "--pool=lab", f"--ssh-key={KEY}", "--ssh-key= "], "--ssh-key is empty"),
        (["--flavor=small", "--pool=lab", "--image=a/b/c"], "NAME, or NAMESPACE/NAME"),
        (["--flavor=small", "--pool=lab", "--image=/debian-12"], "NAME, or NAMESPACE/NAME"),
        (["--flavor=small", "--pool=lab", "--image=shared/"], "NAME, or NAMESPACE/NAME"),
        (["--flavor=small", "--pool=lab", "--image="], "NAME, or NAMESPACE/NAME"),
        (["--flavor=small", "--pool=lab", "--wait=ready", "--dry-run=server"], "dry run"),
        (["--flavor=small", "--pool=lab", "--wait=running", "--power=Stopped"], "wait for ready"),
    ],
)
def test_what_is_wrong_is_told_before_anybody_is_asked(words: list[str], told: str) -> None:
    whole = ["-n", "shop", "create", "web", "--image=debian-12", *words]
    done = CliRunner().invoke(app, whole, obj=Kubectl(), env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())


def test_a_private_key_is_never_sent(tmp_path: Path) -> None:
    file = tmp_path / "id"
    file.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\n")
    whole = [
        "-n",
        "shop",
        "create",
        "web",
        "--image=d",
        "--flavor=small",
        "--pool=lab",
        f"--ssh-key-file={file}",
    ]
    done = CliRunner().invoke(app, whole, obj=Kubectl(), env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert "private key" in done.output
    assert "b3Blbn" not in done.output

"""`kubectl guest` as people meet it: what it asks, what it prints, how it ends."""

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from innkeeper.cli.guest.asking import AskingError, Kubectl, Refusal
from innkeeper.cli.guest.commands import app
from innkeeper.cli.guest.exit_codes import ExitCode

BASE = "/apis/query.innkeeper.dev/v1alpha1"
ABSENT = "Error from server (NotFound): the server could not find the requested resource"
AWAY = "Error from server (ServiceUnavailable): the server is currently unable to handle the request"
RULES = [
    {"name": "maintenance", "kind": "Filter"},
    {"name": "memory", "kind": "Filter"},
    {"name": "strategy", "kind": "Score"},
]


def fits(host: str, total: float) -> dict[str, Any]:
    return {"host": host, "cluster": "lab", "failures": [], "scores": {"strategy": total}, "total": total}


def fails(host: str, *rules: str) -> dict[str, Any]:
    failures = [{"rule": rule, "reason": "R", "message": f"lacks {rule}"} for rule in rules]
    return {"host": host, "cluster": "lab", "failures": failures, "scores": {}, "total": None}


def explanation(*verdicts: dict[str, Any], **status: Any) -> dict[str, Any]:
    told = {
        "viewAgeSeconds": 0.25,
        "message": "1 of 2 hosts fit",
        "chosen": "a",
        "current": None,
        "blocked": None,
        "rules": RULES,
        "verdicts": list(verdicts),
        **status,
    }
    return {"kind": "Explanation", "metadata": {"name": "web", "namespace": "default"}, "status": told}


def guest(name: str, namespace: str = "default") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"power": "Running", "flavor": "small", "image": "debian", "priority": 0},
        "status": {
            "ready": "True",
            "host": "a",
            "addresses": ["10.7.0.2"],
            "reason": "Running",
            "cluster": "lab",
        },
    }


class Scripted:
    """Answers in order, and keeps what was asked."""

    def __init__(self, *answers: dict[str, Any] | AskingError) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Any]] = []

    def get(self, path: str) -> dict[str, Any]:
        return self.create(path, {})

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((path, body))
        answer = self.answers.pop(0)
        if isinstance(answer, AskingError):
            raise answer
        return answer

    def patch(self, *_: Any, **__: Any) -> dict[str, Any]:
        raise AssertionError("these verbs change nothing")

    def rest(self, *_: Any) -> None:
        raise AssertionError("these verbs ask once")

    def namespace(self) -> str:
        return "default"


def run(asking: Scripted, *words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(words), obj=asking, input=stdin)


def test_it_needs_no_library_that_its_archive_does_not_ship() -> None:
    code = (
        "import sys, innkeeper.cli.guest.commands\n"
        "assert not {'msgspec', 'pydantic_settings', 'numpy', 'aiohttp'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_explanation_shows_scores_and_every_failed_rule() -> None:
    done = run(Scripted(explanation(fits("a", 71.8), fails("b", "maintenance", "memory"))), "explain", "web")
    assert done.output.splitlines() == [
        "default/web: 1 of 2 hosts fit; a would be chosen (view 0.2 s old)",
        "",
        "FITS   IN    STRATEGY   TOTAL",
        "a      lab   71.8       71.8",
        "",
        "DOES NOT FIT   IN    RULE          WHY",
        "b              lab   maintenance   lacks maintenance",
        "                     memory        lacks memory",
    ]


def test_wide_has_a_column_for_each_rule() -> None:
    done = run(Scripted(explanation(fails("b", "memory"), chosen=None)), "explain", "web", "-o", "wide")
    assert done.output.splitlines()[2:] == [
        "DOES NOT FIT   IN    MAINTENANCE   MEMORY",
        "b              lab   ok            no",
    ]


def test_all_pages_are_read_and_the_best_hosts_come_first() -> None:
    first = explanation(fails("a", "memory"), fits("b", 1), **{"continue": "b"})
    asking = Scripted(first, explanation(fits("c", 2), fits("d", 1)))
    found = json.loads(run(asking, "explain", "web", "-o", "json").output)
    assert [each["host"] for each in found["status"]["verdicts"]] == ["c", "b", "d", "a"]
    assert [path for path, _ in asking.asked] == [
        f"{BASE}/namespaces/default/guestviews/web/explanation",
        f"{BASE}/namespaces/default/guestviews/web/explanation?continue=b",
    ]


def test_only_the_hosts_that_matter_are_asked_for_on_each_page() -> None:
    asking = Scripted(explanation(fits("a", 1), **{"continue": "x"}), explanation(fits("b", 1)))
    run(asking, "explain", "web", "--host", "a", "--host", "b")
    assert [path.partition("?")[2] for path, _ in asking.asked] == [
        "host=a&host=b",
        "host=a&host=b&continue=x",
    ]


def test_what_is_in_the_way_before_hosts_matter_is_told() -> None:
    blocked = {"step": "Scheduled", "reason": "FlavorNotFound", "message": "there is no Flavor 'x'"}
    told = explanation(blocked=blocked, chosen=None, message=blocked["message"])
    done = run(Scripted(told), "explain", "web")
    assert done.output.startswith("default/web: Scheduled: FlavorNotFound: there is no Flavor 'x' (view")


def test_what_is_in_the_way_comes_first_and_counts_though_hosts_fit() -> None:
    blocked = {"step": "AddressesAssigned", "reason": "PoolNotFound", "message": "there is no IPPool 'x'"}
    told = explanation(
        fits("a", 1), blocked=blocked, chosen=None, message=f"{blocked['message']}; 1 of 2 hosts fit"
    )
    done = run(Scripted(told), "explain", "web", "--exit-code")
    assert done.exit_code == 1
    assert done.output.splitlines()[:3] == [
        "default/web: AddressesAssigned: PoolNotFound: there is no IPPool 'x'; 1 of 2 hosts fit (view 0.2 s old)",
        "",
        "FITS   IN    STRATEGY   TOTAL",
    ]


def test_every_guest_of_a_manifest_is_tried() -> None:
    guests = ("{name: a}", "{name: b, namespace: n}")
    manifest = "kind: Flavor\n" + "".join(f"---\nkind: Guest\nmetadata: {each}\n" for each in guests)
    asking = Scripted(explanation(), explanation())
    assert run(asking, "explain", "-f", "-", stdin=manifest).exit_code == 0
    assert [path for path, _ in asking.asked] == [
        f"{BASE}/namespaces/default/explanations",
        f"{BASE}/namespaces/n/explanations",
    ]
    assert asking.asked[0][1]["spec"]["guest"]["metadata"]["name"] == "a"


@pytest.mark.parametrize(
    ("words", "namespace"),
    [
        (["-n", "shop", "explain", "-f", "-"], "shop"),
        (["explain", "-n", "shop", "-f", "-"], "shop"),
        (["-n", "till", "explain", "-n", "shop", "-f", "-"], "shop"),
        (["explain", "-f", "-"], "own"),
    ],
)
def test_a_namespace_counts_before_the_verb_as_behind_it(words: list[str], namespace: str) -> None:
    asking = Scripted(explanation())
    run(asking, *words, stdin="{kind: Guest, metadata: {name: a, namespace: own}}")
    assert [path for path, _ in asking.asked] == [f"{BASE}/namespaces/{namespace}/explanations"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["explain", "web"], 0),
        (["explain", "web", "--exit-code"], 1),
        (["explain"], 2),
        (["explain", "web", "-f", "-"], 2),
    ],
)
def test_how_it_ends_where_nothing_fits(words: list[str], code: int) -> None:
    assert run(Scripted(explanation(fails("b", "memory"), chosen=None)), *words).exit_code == code


def test_guests_of_a_list_are_tried() -> None:
    asking = Scripted(explanation(fits("a", 1.0)), explanation(fits("a", 1.0)))
    guests = ("{kind: Flavor}", "{kind: Guest, metadata: null}", "{kind: Guest, metadata: {namespace: shop}}")
    manifest = f"kind: List\nitems: [{', '.join(guests)}]\n"
    assert run(asking, "explain", "-f", "-", stdin=manifest).exit_code == 0
    assert [path for path, _ in asking.asked] == [
        f"{BASE}/namespaces/default/explanations",
        f"{BASE}/namespaces/shop/explanations",
    ]


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        ("kind: Guest\n  metadata: [\n", "cannot be read"),
        ("kind: Flavor\n", "holds no Guest"),
        ("- kind: Guest\n", "holds no Guest"),
        ("kind: List\n", "holds no Guest"),
        (f"kind: Guest\nnote: {'x' * 5_000_000}\n", "is longer than"),
    ],
)
def test_what_is_no_manifest_is_told_and_nobody_is_asked(manifest: str, told: str) -> None:
    done = run(Scripted(), "explain", "-f", "-", stdin=manifest)
    assert (done.exit_code, told in done.output) == (ExitCode.USAGE, True), done.output


def test_a_manifest_of_bytes_is_told(tmp_path: Path) -> None:
    file = tmp_path / "manifest"
    file.write_bytes(b"\xff\xfe")
    done = run(Scripted(), "explain", "-f", str(file))
    assert (done.exit_code, "cannot be read" in done.output) == (ExitCode.USAGE, True), done.output


def test_a_list_asks_with_filters_and_reads_all_pages() -> None:
    first = {"items": [guest("a")], "viewAgeSeconds": 1.0, "metadata": {"continue": "x"}}
    asking = Scripted(first, {"items": [guest("b", "n")], "viewAgeSeconds": 200.0, "metadata": {}})
    done = run(asking, "list", "-A", "--host", "a", "--not-ready", "-l", "app=web", "--sort-by", "-age")
    assert [path for path, _ in asking.asked] == [
        f"{BASE}/guestviews?labelSelector=app%3Dweb&fieldSelector=status.host%3Da%2Cstatus.ready%21%3DTrue&sortBy=-age",
        f"{BASE}/guestviews?labelSelector=app%3Dweb&fieldSelector=status.host%3Da%2Cstatus.ready%21%3DTrue&sortBy=-age&continue=x",
    ]
    lines = done.output.splitlines()
    assert lines[0].split() == ["NAMESPACE", "NAME", "READY", "POWER", "HOST", "IP", "REASON", "AGE"]
    assert [line.split()[:2] for line in lines[1:3]] == [["default", "a"], ["n", "b"]]
    assert "this view is 200 s old" in done.output


def test_a_limit_ends_the_reading() -> None:
    asking = Scripted({"items": [guest("a")], "viewAgeSeconds": 0, "metadata": {"continue": "x"}})
    assert run(asking, "list", "--limit", "1", "-o", "name").output == "guest.innkeeper.dev/a\n"
    assert asking.asked[0][0].endswith("&limit=1")


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kubectl that says what its file says, and keeps its words."""
    program = tmp_path / "kubectl"
    program.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" > "$0.words"\ncat "$0.says"\ncat "$0.complains" >&2\nexit $(cat "$0.code")\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    for name, text in (("says", '{"kind": "Any"}'), ("complains", ""), ("code", "0")):
        (tmp_path / f"kubectl.{name}").write_text(text)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    return program


def test_it_asks_through_kubectl_with_the_options_given(kubectl: Path) -> None:
    assert Kubectl(["--context=prod"]).get("/apis/x") == {"kind": "Any"}
    assert Path(f"{kubectl}.words").read_text().split() == ["--context=prod", "get", "--raw", "/apis/x"]


def test_with_no_kubeconfig_the_namespace_is_that_of_its_pod(kubectl: Path, tmp_path: Path) -> None:
    Path(f"{kubectl}.complains").write_text("error: current-context must exist in order to minify")
    Path(f"{kubectl}.code").write_text("1")
    mounted = tmp_path / "namespace"
    asking = Kubectl(pod_namespace=mounted)
    assert asking.namespace() == "default", "this is no pod"
    mounted.write_text("shop")
    assert asking.with_options(["--as=alice"]).namespace() == "shop"
    Path(f"{kubectl}.complains").write_text('error: context "gone" does not exist')
    with pytest.raises(AskingError, match="gone"):
        asking.namespace()


@pytest.mark.parametrize(
    ("path", "complaint", "told"),
    [
        (BASE, 'Error from server (NotFound): guests "x" not found', 'guests "x" not found'),
        (BASE, ABSENT, "has no query.innkeeper.dev"),
        (BASE, AWAY, "the query API does not answer: see whether an operator runs"),
        ("/apis/innkeeper.dev/v1alpha1/guests", ABSENT, "has no innkeeper.dev: install Innkeeper's CRDs"),
    ],
)
def test_what_kubectl_complains_of_is_told(kubectl: Path, path: str, complaint: str, told: str) -> None:
    Path(f"{kubectl}.complains").write_text(complaint)
    Path(f"{kubectl}.code").write_text("1")
    with pytest.raises(AskingError, match=told):
        Kubectl().get(path)


@pytest.mark.parametrize(
    "answer", ["[]", "null", '"x"', "{}", '{"error": "log in"}', '{"kind": 7}', "[" * 100_000]
)
def test_what_is_no_answer_of_an_api_server_is_told_as_such(kubectl: Path, answer: str) -> None:
    Path(f"{kubectl}.says").write_text(answer)
    with pytest.raises(AskingError, match=r"no Kubernetes API server|no JSON"):
        Kubectl().get("/apis/x")


@pytest.mark.parametrize(
    ("complaint", "refusal"),
    [
        ('Error from server (NotFound): guests "x" not found', Refusal.NOT_FOUND),
        ('Error from server (Forbidden): guests "x" is forbidden', Refusal.FORBIDDEN),
        ("error: You must be logged in to the server (Unauthorized)", Refusal.UNAUTHORIZED),
        ('Error from server (Expired): "x" is too old', None),
        # Nothing of the kind was said of a guest.
        ("Unable to connect to the server: getting credentials: exec: executable aws not found", None),
    ],
)
def test_why_the_api_server_refused_is_told_apart(
    kubectl: Path, complaint: str, refusal: Refusal | None
) -> None:
    Path(f"{kubectl}.complains").write_text(complaint)
    Path(f"{kubectl}.code").write_text("1")
    with pytest.raises(AskingError) as raised:
        Kubectl().get("/apis/x")
    assert raised.value.refusal is refusal


def orphan(name: str = "web", state: str = "Held") -> dict[str, Any]:
    status = {
        "guest": name,
        "host": "a",
        "since": "2026-01-01T00:00:00Z",
        "state": state,
        "epoch": 2,
        "serial": 3,
    }
    return {"metadata": {"name": f"id-{name}", "namespace": "default"}, "status": status}


def test_orphans_are_listed_with_where_they_run() -> None:
    answer = {"items": [orphan(), orphan("db", "Removing")]}
    asking = Scripted(answer, answer)
    lines = run(asking, "orphans", "-A").output.splitlines()
    assert lines[0].split() == ["NAMESPACE", "NAME", "ID", "HOST", "SINCE"]
    assert lines[1].split()[:4] == ["default", "web", "id-web", "a"]
    wide = run(asking, "orphans", "-o", "wide").output.splitlines()
    assert wide[2].split()[-2:] == ["Removing", "2.3"]
    assert [path for path, _ in asking.asked] == [f"{BASE}/orphans", f"{BASE}/namespaces/default/orphans"]


@pytest.mark.parametrize(
    ("output", "told"), [("name", "orphan.query.innkeeper.dev/id-web"), ("json", '"guest": "web"')]
)
def test_orphans_for_machines(output: str, told: str) -> None:
    assert told in run(Scripted({"items": [orphan()]}), "orphans", "-o", output).output


def test_no_orphans_is_no_error() -> None:
    done = run(Scripted({"items": []}), "orphans")
    assert (done.exit_code, done.output) == (0, "no orphans found\n")


def test_an_orphan_is_adopted_in_its_namespace() -> None:
    asking = Scripted(orphan())
    done = run(asking, "adopt", "id-web", "-n", "shop")
    assert done.output == "guest.innkeeper.dev/web adopted\n"
    assert asking.asked[0][0] == f"{BASE}/namespaces/shop/orphans/id-web/adoption"


def test_an_orphan_is_removed_only_with_yes() -> None:
    asking = Scripted(orphan())
    refused = run(asking, "remove-orphan", "id-web")
    assert refused.exit_code == 2
    assert "destroyed for good" in refused.output
    assert asking.asked == []
    done = run(asking, "remove-orphan", "id-web", "--yes")
    assert done.output == "web (id-web) is being removed from host a\n"
    assert asking.asked[0][0] == f"{BASE}/namespaces/default/orphans/id-web/removal"

"""top: figures with their shares, the greatest first, and hosts that did not answer."""

import json
from typing import Any

from typer.testing import CliRunner, Result

from innkeeper.cli.guest.asking import AskingError
from innkeeper.cli.guest.commands import app

BASE = "/apis/query.innkeeper.dev/v1alpha1"
Document = dict[str, Any]


def usage(
    name: str, *, cpu: int = 0, memory: int = 0, promised: int = 2000, namespace: str = "default"
) -> Document:
    status = {
        "id": f"id-{name}",
        "host": "a",
        "running": cpu > 0,
        "cpuMillis": cpu,
        "memoryBytes": memory,
        "promised": {"cpuMillis": promised, "memoryBytes": 1 << 30},
        "windowSeconds": 5.2,
        "ageSeconds": 1.4,
    }
    return {"metadata": {"name": name, "namespace": namespace}, "status": status}


WEB, DB = usage("web", cpu=500, memory=1 << 29), usage("db", cpu=1900, memory=1 << 28)
SILENT = {"host": "b", "guests": 3, "message": "host b did not answer within 10 s"}


class Server:
    """Answers by path."""

    def __init__(self, **pages: Document) -> None:
        self.pages = {key.replace("_", "?"): page for key, page in pages.items()}
        self.asked: list[str] = []

    def get(self, path: str) -> Document:
        self.asked.append(path)
        last = path.rpartition("/")[2]
        if last not in self.pages:
            raise AskingError(f"{last} not found")
        return self.pages[last]

    def namespace(self) -> str:
        return "default"


def page(*items: Document, missing: tuple[Document, ...] = (), after: str = "") -> Document:
    meta = {"continue": after} if after else {}
    return {"metadata": meta, "items": list(items), "missing": list(missing)}


def run(server: Server, *words: str) -> Result:
    return CliRunner().invoke(app, ["top", *words], obj=server)


def test_figures_stand_beside_their_shares() -> None:
    done = run(Server(guestusages=page(WEB, DB)))
    rows = [line.split() for line in done.output.splitlines()]
    assert rows == [
        ["NAME", "CPU", "CPU%", "MEMORY", "MEMORY%", "AGE"],
        ["db", "1900m", "95%", "256Mi", "25%", "1s"],
        ["web", "500m", "25%", "512Mi", "50%", "1s"],
    ]


def test_the_greatest_comes_first() -> None:
    server = Server(guestusages=page(WEB, DB, usage("off", promised=0)))
    for by, names in (("cpu", ["db", "web", "off"]), ("memory", ["web", "db", "off"])):
        done = run(server, "--sort-by", by, "-o", "json")
        assert [each["metadata"]["name"] for each in json.loads(done.output)["items"]] == names
    silent = Server(guestusages=page(usage("busy", cpu=5)))
    assert run(silent).output.splitlines()[1].split()[3:5] == ["-", "-"], (
        "a machine that does not say its memory"
    )
    assert run(server, "-o", "wide").output.splitlines()[2].split()[:3] == ["off", "0m", "-"]


def test_hosts_that_do_not_answer_are_named_beside_the_others() -> None:
    done = run(Server(guestusages=page(WEB, missing=(SILENT,))))
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1].startswith("web")
    assert done.stderr == "3 guests are left out: host b did not answer within 10 s\n"
    assert run(Server(guestusages=page(missing=(SILENT,)))).exit_code == 1


def test_all_pages_of_every_account_are_read() -> None:
    pages = {
        "guestusages": page(WEB, after="a"),
        "guestusages_continue=a": page(usage("x", namespace="shop")),
    }
    server = Server(**pages)
    done = run(server, "-A")
    assert [line.split()[0] for line in done.output.splitlines()] == ["NAMESPACE", "default", "shop"]
    assert server.asked == [f"{BASE}/guestusages", f"{BASE}/guestusages?continue=a"]


def test_of_several_names_one_that_cannot_be_told_hides_no_other() -> None:
    class OneIsSilent(Server):
        def get(self, path: str) -> Document:
            if "/db/" in path:
                raise AskingError("host b did not answer within 10 s")
            return super().get(path)

    done = run(OneIsSilent(usage=WEB), "db", "web")
    assert done.stdout.splitlines()[1].startswith("web")
    assert isinstance(done.exception, AskingError)
    assert str(done.exception) == "host b did not answer within 10 s"


def test_one_guest_by_its_name() -> None:
    server = Server(usage=WEB)
    assert run(server, "web", "-n", "shop", "-o", "name").output == "guest.innkeeper.dev/web\n"
    assert server.asked == [f"{BASE}/namespaces/shop/guestviews/web/usage"]

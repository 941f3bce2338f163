"""join-token: the line by which a machine outside the cluster becomes a host.

The admin's own rights make it: a token of the host's account, short-lived, and bound to a Secret in the host's namespace.
Deleting that Secret ends every token of the host, also those that the host made of this one.
"""

import base64
import json
import re
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Protocol
from urllib.parse import quote

import typer

from innkeeper.cli.guest.asking import OWN, Asking, AskingError, Refusal
from innkeeper.cli.guest.following import duration
from innkeeper.cli.guest.output import say
from innkeeper.domain import names

_POLL_S = 1.0
_MAX_PEM = 64 * 1024
_URL = re.compile(r"https?://[!-~]{1,290}")
_SHORTEST_S = 600  # of any token: the API server's own rule
_LONGEST_S = 86_400


class ClusterAsking(Asking, Protocol):
    """Also tells where the API server is."""

    def cluster(self) -> dict[str, Any]:
        """Return the context's cluster as a kubeconfig has it, its authority as `certificate-authority-data`."""
        ...


def join_token(
    context: typer.Context,
    host: Annotated[str, typer.Argument(help="The Host that the machine is to be.")],
    *,
    server: Annotated[
        str | None,
        typer.Option(help="The API server's URL as the machine reaches it.", show_default="the context's"),
    ] = None,
    tls_server_name: Annotated[
        str | None,
        typer.Option(help="The name in the API server's certificate, where --server has another."),
    ] = None,
    ttl: Annotated[
        float,
        typer.Option(parser=duration, metavar="DURATION", help="How long the line can be used: 10m to 24h."),
    ] = "15m",  # type: ignore[assignment] # typer parses the default as it does an option
    hosts_ca_file: Annotated[
        Path | None,
        typer.Option(
            help="The authority (PEM) of the operator's certificate towards hosts: the host pins it."
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            parser=duration, metavar="DURATION", help="How long to wait for the operator to make the host."
        ),
    ] = "1m",  # type: ignore[assignment] # typer parses the default as it does an option
) -> None:
    """Print the line by which a machine joins as a host; it is a secret, and soon worth nothing."""
    asking: ClusterAsking = context.obj
    if server is not None and not _URL.fullmatch(server):
        raise typer.BadParameter(f"--server {server[:60]!r} is no URL: write https://NAME:PORT")
    if not _SHORTEST_S <= ttl <= _LONGEST_S:
        raise typer.BadParameter("--ttl is 10m at least and 24h at most")
    authority = _authority(hosts_ca_file)
    _check_host(asking, host)
    keys = _order_keys(asking, host, end=monotonic() + timeout)
    document = {
        **_where(asking.cluster(), server, tls_server_name),
        "host": host,
        "orderKeys": keys,
        "token": _token(asking, host, int(ttl)),
    }
    if authority is not None:
        document["hostsCa"] = authority
    say(_line(document))
    say(
        f"At the machine, as root, within {ttl // 60:.0f} minutes: innkeeper agent join --token-file -",
        to_error=True,
    )


def _check_host(asking: Asking, host: str) -> None:
    try:
        found = asking.get(f"{OWN}/hosts/{quote(host, safe='')}")
    except AskingError as error:
        if error.refusal is Refusal.NOT_FOUND:
            raise AskingError(f"there is no Host {host}: apply one first") from error
        raise
    if found["spec"].get("lost"):
        raise AskingError(
            f"the Host {host} was declared lost, which is final: delete the Host and register it anew, then ask again"
        )


def _order_keys(asking: Asking, host: str, *, end: float) -> dict[str, str]:
    """Return the keys that the host is to pin, once the operator has made its namespace, account and HostAgent."""
    while True:
        try:
            found = asking.get(f"{OWN}/namespaces/{_place(host)}/hostagents/{names.HOST_AGENT_NAME}")
        except AskingError as error:
            if error.refusal is not Refusal.NOT_FOUND:
                raise
            found = {}
        if keys := found.get("spec", {}).get("orderKeys"):
            return {each["id"]: each["publicKey"] for each in keys}
        if monotonic() >= end:
            raise AskingError(
                f"the operator has not made the host {host} yet; does it run, and is there its Cluster?"
            )
        asking.rest(_POLL_S)


def _token(asking: Asking, host: str, ttl: int) -> str:
    root = f"/api/v1/namespaces/{_place(host)}"
    metadata = {"name": names.AGENT_JOIN_SECRET, "labels": {names.HOST_LABEL: host}}
    try:
        asking.create(f"{root}/secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": metadata})
    except AskingError as error:
        if error.refusal is not Refusal.ALREADY_EXISTS:
            raise
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "expirationSeconds": ttl,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": names.AGENT_JOIN_SECRET},
        },
    }
    answer = asking.create(f"{root}/serviceaccounts/{names.AGENT_SERVICE_ACCOUNT}/token", body)
    return str(answer["status"]["token"])


def _where(cluster: dict[str, Any], server: str | None, tls_server_name: str | None) -> dict[str, Any]:
    """Return where the API server is and how to know it, as the machine is to see it."""
    authority = cluster.get("certificate-authority-data")
    if cluster.get("insecure-skip-tls-verify") and authority is None:
        raise AskingError(
            "this context does not check who the API server is, and a host must: name its authority"
        )
    found = {
        "server": server or cluster["server"],
        "caData": authority,
        "tlsServerName": tls_server_name or cluster.get("tls-server-name"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _place(host: str) -> str:
    return quote(names.host_namespace(host), safe="")


def _authority(file: Path | None) -> str | None:
    """Return a certificate. What else it is given never leaves this machine: the line goes to hosts."""
    if file is None:
        return None
    try:
        with file.open() as opened:
            text = opened.read(_MAX_PEM + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} cannot be read: {error}") from error
    if len(text) > _MAX_PEM or "-----BEGIN CERTIFICATE-----" not in text or "PRIVATE KEY" in text:
        raise typer.BadParameter(
            f"{file} is no certificate alone: --hosts-ca-file takes the authority's (PEM)"
        )
    return text


def _line(document: dict[str, Any]) -> str:
    return base64.b64encode(json.dumps({"version": 1, **document}, separators=(",", ":")).encode()).decode()

"""The identities of many hosts: made by the operator, their tokens asked for as a joining host's are."""

import json
from pathlib import Path
from typing import Any

from innkeeper.domain import names
from kit import private_files
from kit.bind import filling
from kit.bind.filling import GROUP, Api

TOKEN_SECONDS = 24 * 3600


async def write(api: Api, file: Path, *, first: int, count: int) -> None:
    """Write the hosts from `first` up to `count` with their tokens, a line of JSON each, behind the keys of orders."""
    tokens: dict[int, str] = {}

    async def ask(number: int) -> None:
        namespace = names.host_namespace(filling.host_name(number))
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{names.AGENT_SERVICE_ACCOUNT}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        answer = await api.call("POST", path, {**body, "spec": {"expirationSeconds": TOKEN_SECONDS}})
        tokens[number] = answer["status"]["token"]

    await filling.each(ask, range(first, count))
    lines: list[dict[str, Any]] = [{"keys": await _order_keys(api, filling.host_name(first))}]
    lines += [{"host": filling.host_name(number), "token": tokens[number]} for number in sorted(tokens)]
    private_files.write(file, "".join(json.dumps(each) + "\n" for each in lines))


async def _order_keys(api: Api, host: str) -> dict[str, str]:
    path = f"{GROUP}/namespaces/{names.host_namespace(host)}/hostagents/{names.HOST_AGENT_NAME}"
    agent = await api.call("GET", path)
    return {each["id"]: each["publicKey"] for each in agent["spec"]["orderKeys"]}

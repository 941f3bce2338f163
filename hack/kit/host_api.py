"""Certificates of a trial's host API: one authority vouches for agents and operator, and no API server knows of it.

An agent's certificate has its host's name and serves only; the operator's has the name that agents ask for.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from kit.certificates import Authority, Pair

OPERATOR = "innkeeper-operator"
PORT = 9104


def authority(directory: Path) -> Authority:
    """Return the authority of a trial, made on first use, with its files in a directory of its own."""
    found = Authority(directory / "hosts-pki", name="innkeeper-trial-hosts-ca")
    found.ensure()
    return found


def agent_arguments(vouching: Authority, host: str, *, address: str) -> list[str | Path]:
    """Return the options of a host's agent, with a new certificate."""
    pair = vouching.issue_server(f"host-{host}", alternative_names=[host])
    files: list[str | Path] = ["--api-certificate-file", pair.certificate, "--api-key-file", pair.key]
    where: list[str | Path] = ["--api-listen", address, "--api-port", str(PORT)]
    return [*where, *files, "--api-ca-file", vouching.own.certificate]


def operator_pair(vouching: Authority) -> Pair:
    """Return the operator's certificate towards hosts."""
    return vouching.ensure_client(OPERATOR, user=OPERATOR)


def operator_arguments(vouching: Authority, *, hosts_file: Path) -> list[str | Path]:
    """Return the options of the operator that asks hosts."""
    pair = operator_pair(vouching)
    files: list[str | Path] = ["--hosts-certificate-file", pair.certificate, "--hosts-key-file", pair.key]
    return ["--hosts-ca-file", vouching.own.certificate, *files, "--hosts-file", hosts_file]


def write_hosts_file(path: Path, addresses: Mapping[str, str]) -> None:
    """Write where hosts are reached, for the day on which no API server tells; JSON is YAML."""
    hosts = [{"name": name, "address": f"{address}:{PORT}"} for name, address in addresses.items()]
    path.write_text(json.dumps({"hosts": hosts}, indent=2) + "\n")

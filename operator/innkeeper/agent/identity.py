"""Who a host's processes are to the API server and to the image server: by the join file, else by a kubeconfig."""

from pathlib import Path

from innkeeper.agent.join_file import read_join_file
from innkeeper.kube.credentials import Credentials


def credentials_of(*, join_file: Path | None, kubeconfig: Path | None) -> Credentials:
    """Return the credentials.

    Raises:
        TerminalError: the join file or the kubeconfig cannot be used.
    """
    if join_file is None:
        return Credentials.load(kubeconfig)
    join = read_join_file(join_file)
    return Credentials(
        server=join.server.rstrip("/"),
        ca_data=join.authority,
        tls_server_name=join.tls_server_name,
        token_file=join_file.parent / join.token_file,
    )

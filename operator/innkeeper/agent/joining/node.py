"""The start of an agent in a pod: its host's identity lies in the state directory, made from what the pod has.

From then on the agent is as one that joined; where its next token comes from is all the difference. Order keys come from
mounted files, never from the API server. Nothing here talks to the API server, so guests start while that is away.
"""

from innkeeper.agent import join_file
from innkeeper.agent.join_file import JoinFile
from innkeeper.agent.joining import files
from innkeeper.agent.settings import AgentSettings
from innkeeper.agent.trust import encode_keys
from innkeeper.kube.credentials import Credentials

_TOKEN_FILE = "host.token"  # noqa: S105 - the name of a file


def pod_credentials(settings: AgentSettings) -> Credentials:
    """Return how to reach the API server from this pod, under the pod's own token.

    Raises:
        TerminalError: neither a pod's environment nor a kubeconfig tells where the API server is.
    """
    found = Credentials.load(settings.kubeconfig)
    return Credentials(
        server=found.server,
        ca_data=found.ca_data,
        tls_server_name=found.tls_server_name,
        token_file=settings.node_token_file,
    )


def write_identity(settings: AgentSettings, pod: Credentials) -> AgentSettings:
    """Write the join file of the node's host, and return settings that name it.

    Raises:
        InnkeeperError: an order key cannot be read, or the join file cannot be written.
    """
    keys = dict(join_file.read_key_file(path) for path in settings.order_key_file)
    path = settings.state_dir / "identity" / "join.json"
    join = JoinFile(
        host=str(settings.node_name),
        server=pod.server,
        ca_data=None if pod.ca_data is None else join_file.encoded(pod.ca_data),
        tls_server_name=pod.tls_server_name,
        token_file=path.parent / _TOKEN_FILE,
        order_keys=encode_keys(keys),
    )
    files.write_join_file(path, join)
    # A copy is not validated: the two ways to name a host may stand together in it.
    return settings.model_copy(update={"join_file": path})

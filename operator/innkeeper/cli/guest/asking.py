"""The way to the API server: through kubectl itself, so that every way of logging in that it knows works here too.

One method for each direction; what is asked and what the answers mean is somebody else's.
"""

import json
import re
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TextIO

from innkeeper.cli.guest.calling import MOST_ANSWERED, AnswerTooLongError, Patience, call
from innkeeper.cli.guest.exit_codes import ExitCode
from innkeeper.cli.guest.hearing import Hearing

DEADLINE_S = 60.0
LOGIN_S = 900.0  # a person who was asked may be logging in: as long as codes for devices are good
BASE = "/apis/query.innkeeper.dev/v1alpha1"
OWN = "/apis/innkeeper.dev/v1alpha1"
_ABSENT = (
    "the API server has no query.innkeeper.dev: install Innkeeper's query API (charts/innkeeper/files/query), "
    "or look whether the APIService v1alpha1.query.innkeeper.dev is Available"
)
_AWAY = (
    "the query API does not answer: see whether an operator runs, and what "
    "kubectl get apiservice v1alpha1.query.innkeeper.dev says"
)
_SERVER = re.compile(r"Error from server \((\w+)\): ")
_NOT_LOGGED_IN = "error: You must be logged in to the server"
_NO_KINDS = "the API server has no innkeeper.dev: install Innkeeper's CRDs (crds/)"


class Refusal(StrEnum):
    """Why the API server refused, by its own word, where that decides what is done next."""

    NOT_FOUND = "NotFound"
    ALREADY_EXISTS = "AlreadyExists"
    FORBIDDEN = "Forbidden"
    UNAUTHORIZED = "Unauthorized"


class AskingError(Exception):
    """What was asked for did not come about; the message is for the person who asked."""

    def __init__(
        self, message: str, *, code: ExitCode = ExitCode.FAILED, refusal: Refusal | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.refusal = refusal


class Asking(Protocol):
    """Asks the API server."""

    def get(self, path: str) -> dict[str, Any]:
        """Return the document at a path.

        Raises:
            AskingError: there is none.
        """
        ...

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a document to a path and return the answer.

        Raises:
            AskingError: it was refused.
        """
        ...

    def patch(self, resource: str, name: str, change: dict[str, Any], *, namespace: str) -> dict[str, Any]:
        """Merge a change into an object and return it.

        Raises:
            AskingError: it was refused.
        """
        ...

    def namespace(self) -> str:
        """Return the namespace of the context."""
        ...

    def rest(self, seconds: float) -> None:
        """Let some time go by before the next question."""
        ...


@dataclass(frozen=True)
class Kubectl:
    """kubectl as it stands on PATH, with the options that the person gave. It `asks` them where they have to log in."""

    options: Sequence[str] = ()
    asks: bool = True
    pod_namespace: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
    warned: set[str] = field(default_factory=set)

    def with_options(self, options: Sequence[str]) -> "Kubectl":
        """Return one with more options; the last of two that say the same counts."""
        return replace(self, options=(*self.options, *options))

    def get(self, path: str) -> dict[str, Any]:
        """Return the document at a path."""
        return self._object("get", "--raw", path)

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a document to a path and return the answer."""
        return self._object("create", "--raw", path, "-f", body=json.dumps(body))

    def patch(self, resource: str, name: str, change: dict[str, Any], *, namespace: str) -> dict[str, Any]:
        """Merge a change into an object and return it."""
        where = (resource, name, f"--namespace={namespace}")
        return self._object("patch", *where, "--type=merge", f"--patch={json.dumps(change)}", "--output=json")

    def rest(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def namespace(self) -> str:
        """Return the namespace of the context, else the pod's own."""
        try:
            found = self._run("config", "view", "--minify", "-o", "jsonpath={..namespace}").strip()
        except AskingError as error:
            if "current-context must exist" not in str(error):
                raise
            # With no kubeconfig, kubectl is who its pod is.
            found = self.pod_namespace.read_text().strip() if self.pod_namespace.exists() else ""
        return found or "default"

    def cluster(self) -> dict[str, Any]:
        """Return the context's cluster; of the rest of the kubeconfig, nothing leaves kubectl."""
        template = "jsonpath={.clusters[0].cluster}"
        return self._document("config", "view", "--raw", "--minify", "--flatten", "-o", template)

    def _object(self, *words: str, body: str | None = None) -> dict[str, Any]:
        """Return an object of the API: each says its kind. What does not comes from something in between."""
        found = self._document(*words, body=body)
        if not isinstance(found.get("kind"), str):
            raise AskingError(f"what answers is no Kubernetes API server: {json.dumps(found)[:200]}")
        return found

    def _document(self, *words: str, body: str | None = None) -> dict[str, Any]:
        text = self._run(*words, body=body)
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise AskingError(f"the answer is no JSON: {text[:200]}") from error
        if not isinstance(found, dict):
            raise AskingError(f"what answers is no Kubernetes API server: {text[:200]}")
        return found

    def _run(self, *words: str, body: str | None = None) -> str:
        program = shutil.which("kubectl")
        if program is None:
            raise AskingError("kubectl is not on PATH")
        sees, asks = self.asks and _is_terminal(sys.stderr), self.asks and _is_terminal(sys.stdin)
        hearing = Hearing(person=_tell if sees else None, warn=self._warn)
        patience = Patience(silent_s=DEADLINE_S, asking_s=LOGIN_S if asks else DEADLINE_S)
        command = [program, *self.options, *words]
        try:
            code, answer = call(command, hearing, body=body, patience=patience, asks=asks)
        except TimeoutError as error:
            raise AskingError(str(error)) from error
        except OSError as error:
            raise AskingError(f"kubectl cannot be run: {error}") from error
        except AnswerTooLongError as error:
            raise AskingError(f"the answer is longer than {MOST_ANSWERED} bytes") from error
        if code:
            of_query = any(BASE in word for word in words)
            raise _complaint(hearing.words(), hearing.unseen(), of_query=of_query)
        return answer

    def _warn(self, warning: str) -> None:
        """Tell a warning of the API server, once: what is followed is asked for again and again."""
        if self.asks and warning not in self.warned:
            self.warned.add(warning)
            _tell(f"{warning}\n")


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _tell(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()  # a question has no line break


def _complaint(words: str, before: str, *, of_query: bool) -> AskingError:
    """Return the error that kubectl's own words mean; what others said `before` stands behind them."""
    if "the server could not find the requested resource" in words:
        return AskingError(_ABSENT if of_query else _NO_KINDS)
    if of_query and "the server is currently unable to handle the request" in words:
        return AskingError(_AWAY)
    message = _SERVER.sub("", words.removeprefix("error: "), count=1)
    return AskingError(f"{message} ({before})" if before else message, refusal=_refusal(words))


def _refusal(words: str) -> Refusal | None:
    if words.startswith(_NOT_LOGGED_IN):
        return Refusal.UNAUTHORIZED
    said = _SERVER.match(words)
    return Refusal(said[1]) if said and said[1] in Refusal.__members__.values() else None

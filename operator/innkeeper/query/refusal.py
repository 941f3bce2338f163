"""An answer that is an error, raised from wherever it turns out; whoever may ask again is told when."""

from aiohttp import web

from innkeeper.kube.reviews import Deed, User
from innkeeper.query import documents
from innkeeper.query.answers import in_json

_ASK_AGAIN = frozenset((429, 503))


class RefusedError(Exception):
    """An answer that is an error."""

    def __init__(self, document: documents.Document) -> None:
        super().__init__(document["message"])
        self.document = document

    @property
    def answer(self) -> web.Response:
        """The answer itself."""
        code = self.document["code"]
        answer = in_json(self.document, status=code)
        if code in _ASK_AGAIN:
            answer.headers["Retry-After"] = "2"
        return answer


def refusal(code: int, reason: str, message: str) -> RefusedError:
    """Return an error of that HTTP status."""
    return RefusedError(documents.error(code, reason, message))


def forbidden(user: User, deed: Deed) -> RefusedError:
    """Return what somebody is told who may not do what they asked for."""
    what = f"{deed.resource}/{deed.subresource}" if deed.subresource else deed.resource
    where = f'in the namespace "{deed.namespace}"' if deed.namespace else "at the cluster scope"
    message = f'User "{user.name}" cannot {deed.verb} resource "{what}" in API group "{deed.group}" {where}'
    return refusal(403, "Forbidden", message)

"""An agent by hand: it reports, beats and answers orders under its own token, and starts no machine."""

import base64
from datetime import UTC, datetime
from typing import Any, Self

from innkeeper.clock import SystemClock, rfc3339
from innkeeper.domain import names
from innkeeper.domain.orders import Order, peek, verify
from innkeeper.domain.reasons import Desired, OperationPhase, OrderOutcome
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.errors import ApiError, ConflictError, ForbiddenError, NotFoundError, UnauthorizedError
from innkeeper.kube.lease import Heartbeat
from innkeeper.kube.resources import ASSIGNMENTS, HOST_AGENTS
from innkeeper.views.assignment import Assignment
from tests.kit.waiting import NotSoError, eventually

SERVE_EVERY_S = 0.3
CAPACITY = {"cpu": "8", "memory": "16Gi", "disk": "100Gi"}


class ScriptedAgent:
    """The agent of one host. `administrator` only asks for its token."""

    def __init__(self, administrator: Client, host: str, *, store_id: str = "store-1") -> None:
        self._administrator = administrator
        self.host = host
        self.store_id = store_id
        self.namespace = names.host_namespace(host)
        self.client: Client | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.client is not None:
            await self.client.close()

    async def join(self) -> None:
        """Wait for the host's identity, take a token of it, report and beat."""
        await self.renew_token()
        await eventually(self._try_report, deadline_s=30)

    async def renew_token(self) -> None:
        """Take a new token, as a lab or a chart does for an agent."""
        token = await eventually(self._try_token, deadline_s=30)
        admin = self._administrator.credentials
        if self.client is not None:
            await self.client.close()
        self.client = Client(Credentials(server=admin.server, ca_data=admin.ca_data, token=token))

    async def report(self, **status: Any) -> None:
        """Report the host once, and beat once."""
        said = {
            "observedGeneration": 1,
            "storeId": self.store_id,
            "agentVersion": "0.0.0",
            "hypervisor": "KVM",
            "driver": "scripted",
            "capacity": CAPACITY,
            "conditions": [_condition("True", "Ready", generation=1)],
            **status,
        }
        await self._me.patch(
            HOST_AGENTS, "host", {"status": said}, namespace=self.namespace, subresource="status"
        )
        await self.beat()

    async def beat(self) -> None:
        """Renew the heartbeat once."""
        heartbeat = Heartbeat(
            self._me,
            namespace=self.namespace,
            name=names.HEARTBEAT_LEASE,
            identity=self.store_id,
            clock=SystemClock(),
            labels={names.HOST_LABEL: self.host},
        )
        await heartbeat.beat()

    async def order(self, *, desired: str = "Running") -> tuple[Assignment, Order]:
        """Wait for the one order that asks for `desired`; check its signature as an agent does."""
        return await eventually(lambda: self._order(desired), deadline_s=30)

    async def answer(
        self, assignment: Assignment, order: Order, *, outcome: str, ready: str, reason: str, **more: Any
    ) -> None:
        """Tell what became of an order; `more` are further fields of the status."""
        status = {
            "observedGeneration": assignment.metadata.generation,
            "outcome": outcome,
            "held": {"epoch": order.epoch, "serial": order.serial},
            "conditions": [_condition(ready, reason, generation=assignment.metadata.generation)],
            **more,
        }
        await self._me.patch(
            ASSIGNMENTS,
            assignment.metadata.name,
            {"status": status},
            namespace=self.namespace,
            subresource="status",
        )

    async def stop_guest(self) -> Order:
        """Obey the order to stop a guest."""
        assignment, order = await self.order(desired="Stopped")
        await self.answer(assignment, order, outcome=OrderOutcome.ACCEPTED, ready="True", reason="Stopped")
        return order

    async def run_guest(self) -> Order:
        """Accept the order to run a guest and say that it runs."""
        assignment, order = await self.order()
        await self.answer(assignment, order, outcome=OrderOutcome.ACCEPTED, ready="True", reason="Running")
        return order

    async def destroy_guest(self) -> None:
        """Obey the order to destroy a guest."""
        assignment, order = await self.order(desired="Destroyed")
        await self.answer(
            assignment, order, outcome=OrderOutcome.DESTROYED, ready="False", reason="Destroyed"
        )

    async def serve(self) -> None:
        """Join, beat and obey every order for ever, with a new token where the old one is worth nothing any more."""
        clock = SystemClock()
        while True:
            try:
                if self.client is None:
                    await self.renew_token()
                await self.report()
                await self._obey_all()
            except (NotFoundError, ConflictError):
                pass  # the host's namespace goes, or somebody was faster
            except (UnauthorizedError, ForbiddenError, NotSoError):
                await self._forget_token()
            await clock.sleep(SERVE_EVERY_S)

    async def _obey_all(self) -> None:
        for assignment in (await self._me.list(ASSIGNMENTS, namespace=self.namespace)).items:
            order, desired = peek(assignment.spec.order), assignment.spec.desired
            held = assignment.status.held
            if held is not None and (held.epoch, held.serial) == (order.epoch, order.serial):
                continue
            if desired == Desired.DESTROYED:
                answer = {"outcome": OrderOutcome.DESTROYED, "ready": "False"}
            else:
                answer = {"outcome": OrderOutcome.ACCEPTED, "ready": "True"}
            more: dict[str, Any] = {}
            if order.operation is not None:
                done = {"id": order.operation.id, "phase": OperationPhase.SUCCEEDED, "finishedAt": _now()}
                more = {"operation": done}
            await self.answer(assignment, order, **answer, reason=desired, **more)

    async def _forget_token(self) -> None:
        if self.client is not None:
            await self.client.close()
            self.client = None

    @property
    def _me(self) -> Client:
        assert self.client is not None, "the agent has no token yet"
        return self.client

    async def _order(self, desired: str) -> tuple[Assignment, Order] | None:
        agent = await self._me.get(HOST_AGENTS, "host", namespace=self.namespace)
        keys = {each.id: base64.b64decode(each.public_key) for each in agent.spec.order_keys}
        found = (await self._me.list(ASSIGNMENTS, namespace=self.namespace)).items
        wanted = [each for each in found if each.spec.desired == desired]
        return (wanted[0], verify(wanted[0].spec.order, keys)) if wanted else None

    async def _try_token(self) -> str | None:
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{names.AGENT_SERVICE_ACCOUNT}/token"
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        }
        try:
            answer = await self._administrator.post(path, body)
        except ApiError:
            return None
        return str(answer["status"]["token"])

    async def _try_report(self) -> bool:
        try:
            await self.report()
        except ApiError:
            return False
        return True


def _condition(status: str, reason: str, *, generation: int) -> dict[str, Any]:
    return {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": "",
        "observedGeneration": generation,
        "lastTransitionTime": _now(),
    }


def _now() -> str:
    return rfc3339(datetime.now(UTC))

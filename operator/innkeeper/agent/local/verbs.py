"""The verbs, carried out by the agent that runs: a wish is kept first, then the guest is looked at as after an order."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from innkeeper.agent.goal import goal_of
from innkeeper.agent.local.messages import Answer, Question, Verb
from innkeeper.agent.local.wishes import NotPossibleError, Wishes
from innkeeper.agent.plan import JobKind
from innkeeper.agent.reconcile import Reconciler
from innkeeper.clock import rfc3339
from innkeeper.errors import InnkeeperError
from innkeeper.to_its_end import to_its_end

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Verbs:
    """Answers questions. `wake` has a guest looked at."""

    wishes: Wishes
    reconciler: Reconciler
    wake: Callable[[str], None]

    async def answer(self, question: Question) -> Answer:
        """Do what is asked; what cannot be done is said in the answer."""
        try:
            match question.verb:
                case Verb.LIST:
                    return self._list()
                case Verb.START | Verb.STOP:
                    said = await self._wish(question)
                case Verb.FORGET:
                    said = await self._forget(question)
        except InnkeeperError as error:
            return Answer(error=error.message)
        log.info("asked_at_host", verb=str(question.verb), guest=question.guest, by=question.by)
        return Answer(said=said)

    def _list(self) -> Answer:
        phases = self.reconciler.inventory.phases
        held = sorted(self.wishes.ledger.all(), key=lambda each: (each.order.namespace, each.order.name))
        lines = [self.wishes.line(each, machine=phases.get(each.order.guest_id)) for each in held]
        away = self._away()
        return Answer(guests=lines, said=f"{away}; this is what the store holds" if away else "")

    def _away(self) -> str | None:
        """Return what is said where no machine was read since the agent started; None where they were."""
        inventory = self.reconciler.inventory
        if inventory.known.is_set():
            return None
        why = inventory.trouble
        return f"the hypervisor is away ({why})" if why else "the hypervisor has not answered yet"

    async def _wish(self, question: Question) -> str:
        wanted = self.wishes.start if question.verb is Verb.START else self.wishes.stop
        guest_id = (await wanted(question.guest, by=question.by)).order.guest_id
        self.reconciler.trials.pop(guest_id, None)  # a person's word waits for no back-off
        self.wake(guest_id)
        away = self._away()
        if away:
            how = f"is kept, and carried out when the machines can be read: {away}"
        elif question.verb is Verb.START and not self.reconciler.gate.is_open:
            how = "is kept, and carried out once newer orders were looked for: `list` shows how long that may take"
        else:
            how = "is under way"
        return f"guest {guest_id}: {question.verb} {how}"

    async def _forget(self, question: Question) -> str:
        jobs, inventory = self.reconciler.jobs, self.reconciler.inventory
        guest_id = self.wishes.accepted(question.guest).order.guest_id
        await inventory.tried.wait()
        away = self._away()
        if away is not None:
            raise NotPossibleError(f"it is not known whether it is off: {away}")
        await inventory.refresh()
        guest = self.wishes.accepted(guest_id)
        phase = inventory.phases.get(guest_id)
        if inventory.trouble is not None:
            raise NotPossibleError(f"it is not known whether it is off: {inventory.trouble}")
        if (phase is not None and phase.alive) or jobs.get(guest_id) is not None:
            raise NotPossibleError(
                "it is not off: stop it first (`innkeeper agent stop`) and wait until `list` shows that"
            )
        by = f"{question.by or 'somebody'} at {rfc3339(self.wishes.clock.now())}"
        work = to_its_end(self.reconciler.work.forget(guest, by=by))
        # As a job, so that nothing else touches its machine meanwhile.
        jobs.start(guest_id, JobKind.FORGET, desired=goal_of(guest.record, guest.order).desired, work=work)
        job = jobs.get(guest_id)
        if job is not None:
            await asyncio.wait({job.task})
            if not job.task.cancelled():
                job.task.result()
        self.reconciler.prober.forget(guest_id)
        self.wake(guest_id)  # its Assignment, if there is one, is answered anew
        return f"guest {guest_id} was taken off this host; its files lie under forgotten/{guest_id}"

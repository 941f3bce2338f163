"""The background process that keeps the tokens of a lab good.

It renews a token that is old, and one whose account was deleted and made again: a namespace that somebody deleted
comes back with new accounts, and the old tokens are worth nothing then.

Usage: token_keeper.py LAB-NAME
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from kit import steps
from kit.kubectl import Kubectl
from kit.lab import identities, plan

PERIOD = 3.0


def main() -> None:
    """Renew for ever; trouble with the API server is told and tried again."""
    lab = plan.load(sys.argv[1])
    if lab is None:
        raise SystemExit(f"there is no lab {sys.argv[1]}")
    kubectl = Kubectl(lab.admin_kubeconfig)
    while True:
        for account in identities.accounts(lab):
            try:
                account.renew(kubectl)
            except steps.StepError as error:
                steps.say(f"{account.namespace}/{account.name}: {error}")
        time.sleep(PERIOD)


if __name__ == "__main__":
    main()

"""get: guests by name or URN, as the API server has them."""

import typer

from innkeeper.cli.guest.asking import Asking
from innkeeper.cli.guest.output import Namespace, Output, OutputOption, show_guests
from innkeeper.cli.guest.targets import Names, find


def get(
    context: typer.Context,
    names: Names,
    *,
    namespace: Namespace = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show guests by their names or URNs; a URN is found in whichever namespace it is."""
    asking: Asking = context.obj
    targets = [find(asking, name, namespace) for name in names]
    found = [asking.get(target.path) for target in targets]
    several = len({target.namespace for target in targets}) > 1
    show_guests(found, output, namespaces=several)

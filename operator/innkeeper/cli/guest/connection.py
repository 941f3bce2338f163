"""The options that lead to a cluster and into a namespace, as kubectl has them: before the verb or behind it.

Where one stands in both places, the one behind the verb counts.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from innkeeper.cli.guest.asking import Kubectl

Kubeconfig = Annotated[str | None, typer.Option("--kubeconfig", help="The kubeconfig, as for kubectl.")]
KubeContext = Annotated[str | None, typer.Option("--context", help="The context, as for kubectl.")]
Impersonate = Annotated[str | None, typer.Option("--as", help="Ask as somebody else, as for kubectl.")]
_OPTIONS: dict[str, Any] = {"kubeconfig": Kubeconfig, "kube_context": KubeContext, "impersonate": Impersonate}
_WORDS = {"kubeconfig": "--kubeconfig", "kube_context": "--context", "impersonate": "--as"}


def words_of(given: dict[str, str | None]) -> list[str]:
    """Return the options of kubectl that were given, by the names of the parameters here."""
    return [f"{word}={given[name]}" for name, word in _WORDS.items() if given.get(name)]


def connected(verb: Callable[..., None]) -> Callable[..., None]:
    """Return a verb that takes these options as well and reaches the cluster by them; a `-n` before it counts for it."""

    @functools.wraps(verb)
    def run(context: typer.Context, **arguments: Any) -> None:
        words = words_of({name: arguments.pop(name) for name in _OPTIONS})
        if words and isinstance(context.obj, Kubectl):
            context.obj = context.obj.with_options(words)
        if "namespace" in arguments and arguments["namespace"] is None and context.parent is not None:
            arguments["namespace"] = context.parent.params.get("namespace")
        verb(context=context, **arguments)

    signature = inspect.signature(verb)
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in _OPTIONS.items()
    ]
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *more])  # type: ignore[attr-defined] # what inspect reads
    run.__annotations__ = {**verb.__annotations__, **_OPTIONS}
    return run

"""How many of what a line of guests waits for are free now, so that whose turn it is looks and nobody else does."""

from innkeeper.domain.addressing.search import count_free
from innkeeper.kube.informer import Key
from innkeeper.state import waiting
from innkeeper.state.claims import Claims
from innkeeper.state.pool_catalog import PoolCatalog
from innkeeper.state.waiting import Waiting

# That are offered at once; whoever is served passes on what it does not take. It is twice what a guest's eight interfaces
# can ask a pool for: with one place kept, it suffices for any guest that there is enough for.
_MOST = 16


def whose_turn(cause: str, line: Waiting, *, catalog: PoolCatalog, claims: Claims) -> list[Key]:
    """Return the guests whose turn it is to look at what is free; nothing is counted where nobody waits."""
    return line.first(cause, _free(cause, catalog, claims)) if line.is_awaited(cause) else []


def _free(cause: str, catalog: PoolCatalog, claims: Claims) -> int:
    """Return how many of those that wait for a cause could be served, if each needs one; 16 at most."""
    name, namespace = waiting.line_of(cause)
    pool = catalog.pool(name)
    if pool is None:
        return 0
    if namespace is None:
        return count_free(pool, claims.taken(pool), most=_MOST)
    if pool.max_per_namespace is None:
        return _MOST
    return max(0, min(_MOST, pool.max_per_namespace - claims.count_of_namespace(name, namespace)))

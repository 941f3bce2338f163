"""Code that the scripts in `hack/` share: paths, progress lines, background processes, builds.

Nothing here is part of Innkeeper itself and nothing in `operator/` may import it. Only Python's standard
library is used, so that every script runs before any Python environment exists.
"""

"""The bench of `hack/bench/hosts`: how many agents one API server carries while guests are built.

`identities` gives each host its token, `agents` is a process with many agents, `main` measures while guests come.
"""

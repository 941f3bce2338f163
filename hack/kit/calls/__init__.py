"""What hack/bench/calls is made of: `answers` is a server that answers everything at once, `callers` times one caller."""

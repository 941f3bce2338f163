"""How a host gets its identity, and keeps it.

A host outside the cluster joins once with a join token and then renews its own token; an agent in a pod exchanges the
token of its pod, again and again. Both end in the same two files: a join file, and the token that it names.

`string` is what an admin carries to the host, `files` how the files are written, `sources` where the next token comes
from, `rotation` when it is asked for, `node` the start in a pod, and `join` what `innkeeper agent join` does.
"""

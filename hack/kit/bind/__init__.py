"""What hack/bench/bind is made of: Innkeeper's operator and kube-scheduler, each binding to the same API server.

`filling` puts hosts, nodes, guests and pods there, `stage` starts and restores, `contest` times one scheduler,
`figures` prints.
"""

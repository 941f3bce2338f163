"""A Kubernetes cluster of one node on one machine: a control plane, and a node with kubelet, containerd and libvirt.

The node is a host of the lab (`kit.lab`) with one more mount namespace in it. `plan` names everything, `programs` finds
or builds what runs, `settings` writes files, `node_keeper` makes the node's file system, `node` starts and ends it,
`control` starts what stands outside it, `volumes` are what claims get. For trials and tests, never for production.
"""

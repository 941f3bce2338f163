"""A real Kubernetes control plane for trials and tests, without containers.

`programs` finds or builds etcd, the API server and the controller manager, `state` is what is known of one
instance, `commands` are the command lines, `lifecycle` starts and stops. Never fit for production: one etcd
member that does not wait for its disk, and a certificate authority whose key lies beside everything else.
"""

"""What `hack/bench/kopf_intake` consists of: a made-up watch stream, two readers, and the process that compares them."""

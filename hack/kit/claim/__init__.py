"""The parts of hack/bench/claim."""

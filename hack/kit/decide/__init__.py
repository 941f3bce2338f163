"""What hack/bench/decide is made of: `fleets` makes hosts and requests, `main` times decisions on them."""

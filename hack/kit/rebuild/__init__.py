"""What hack/bench/rebuild is made of: `hosts` are agents' stores that answer over mutual TLS, `main` times a rebuild."""

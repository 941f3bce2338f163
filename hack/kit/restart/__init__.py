"""What hack/bench/restart is made of: `fleet` fills an API server, `counting` counts bytes, `start` times one start."""

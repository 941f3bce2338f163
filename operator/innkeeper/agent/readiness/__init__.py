"""Whether a guest answers: what decides its Ready where its spec has a readiness probe."""

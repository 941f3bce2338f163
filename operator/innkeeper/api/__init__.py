"""The API of Innkeeper: pydantic models, the only source of the CRDs in `crds/` and of `docs/reference/api.md`.

Models live at the edges: they describe and check what people write. The hot path reads `innkeeper.views`
instead; a test proves that both agree. Nothing here talks to an API server.
"""

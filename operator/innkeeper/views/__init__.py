"""Read models of the hot kinds: msgspec structs that hold the fields the hot path uses, and nothing else.

They are decoded straight from the API server's bytes. They never validate (the API server has), never write, and never do
I/O. `innkeeper.api` is the only source of the schema; a test proves that both agree.
"""

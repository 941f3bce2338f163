"""`python -m innkeeper`: the same as the command `innkeeper`."""

from innkeeper.cli.main import app

app()

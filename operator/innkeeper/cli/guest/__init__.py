"""`kubectl guest`: what people type.

`asking` is the way to the API server, `targets` finds guests, `tables` prints, `exit_codes` says how a call ends;
`commands` puts the verbs together. It is shipped by itself, too: nothing here may need a compiled library of its own.
"""

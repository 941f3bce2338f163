"""The reference pages of what is measured and what is alarmed: made from the definitions, saying nothing of their own.

`metrics` reads the families that the processes register, `alerts` the rules that Prometheus reads.
"""

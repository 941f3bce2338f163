"""Decisions: plain data in, plain data out.

Nothing here awaits, reads a clock, draws a random number or talks to anything. Time and seeds come in as arguments.
"""

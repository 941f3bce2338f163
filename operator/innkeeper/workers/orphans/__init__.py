"""Guests that hosts hold and that no Guest object stands for: found, told of, adopted or removed on a person's word."""

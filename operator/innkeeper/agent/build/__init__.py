"""Building a guest: a file per step, each of which may be killed at any point and run again."""
